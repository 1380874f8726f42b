"""Cuts text at what people see as characters, so that a browser can mark tokens although tokens are bytes.

A token may end inside a character (half an emoji) or inside a grapheme (a letter and its accent). The tokens that share
a grapheme become one segment, which keeps them apart for the tooltip. Lengths are in UTF-16 units, as in JavaScript.
"""

import re
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from featlas.api.schemas import Mark, TokenMark, TokenText
from featlas.store.spans import decode_bounds, readable_token

_GRAPHEME = regex.compile(r"\X")
# Between two ASCII characters other than CR there is always an edge, so only what stands around others is looked at.
_NOT_PLAIN = re.compile(r"[\0-\x7f]?[^\0-\x0c\x0e-\x7f]+(?:[\0-\x7f][^\0-\x0c\x0e-\x7f]+)*[\0-\x7f]?")
# Nor where none of these stands, which join their neighbours (Unicode annex 29) and lie from U+0300 on.
_JOINING = ("EX", "ZWJ", "SM", "PP", "L", "V", "T", "LV", "LVT", "RI")
_JOINER = regex.compile("[" + "".join(rf"\p{{GCB={kind}}}" for kind in _JOINING) + "]")
_FIRST_JOINER = 0x300
SNIPPET_TOKENS = 8
"""Tokens on each side of the peak in a list's snippet."""


@dataclass(frozen=True)
class Tokens:
    """Text as tokens, `text[ends[i - 1]:ends[i]]` in bytes, and where a feature fires among them."""

    text: bytes
    ends: NDArray[np.integer]
    token_ids: NDArray[np.integer]
    positions: NDArray[np.integer]
    values: NDArray[np.floating]
    peak: int

    def token(self, at: int) -> str:
        """The bytes of one token, as they are shown."""
        start = int(self.ends[at - 1]) if at else 0
        return readable_token(self.text[start : int(self.ends[at])])


def mark_text(tokens: Tokens, window: range | None = None) -> TokenText:
    """The text in segments, with marks where the feature fires and at the peak.

    `window` cuts out the segments of these tokens, the peak among them; positions stay those of the whole.
    """
    skipped = 0
    if window is not None and len(tokens.ends):
        window = range(max(window.start, 0), min(window.stop, len(tokens.ends)))
        tokens, skipped = _around(tokens, window)
        window = range(window.start - skipped, window.stop - skipped)
    text, starts, stops = decode_bounds(tokens.text, tokens.ends)
    segment_of, cuts = _segments(text, starts, stops)
    first, last = 0, len(cuts) - 1
    if window is not None and len(segment_of):
        first, last = int(segment_of[window.start]), int(segment_of[window.stop - 1])
    start = int(cuts[first - 1]) if first else 0
    stop = int(cuts[last]) if len(cuts) else 0
    return TokenText(
        text=text[start:stop],
        ends=_utf16_lengths(text[start:stop], cuts[first : last + 1] - start),
        marks=_marks(tokens, segment_of, range(first, last + 1), skipped),
        peak_segment=int(segment_of[tokens.peak]) - first if len(segment_of) else 0,
    )


def _around(tokens: Tokens, window: range) -> tuple[Tokens, int]:
    """The tokens of a window that the peak is in, and as many on both sides as a grapheme could reach; how many before.

    Cut is between ASCII characters only: what is left out says nothing of the graphemes inside.
    """
    first, stop = window.start, window.stop
    while first > 0 and not _is_plain_edge(tokens, first):
        first -= 1
    while stop < len(tokens.ends) and not _is_plain_edge(tokens, stop):
        stop += 1
    begin = int(tokens.ends[first - 1]) if first else 0
    is_inside = (tokens.positions >= first) & (tokens.positions < stop)
    part = Tokens(
        text=tokens.text[begin : int(tokens.ends[stop - 1])],
        ends=tokens.ends[first:stop].astype(np.int64) - begin,
        token_ids=tokens.token_ids[first:stop],
        positions=tokens.positions[is_inside].astype(np.int64) - first,
        values=tokens.values[is_inside],
        peak=tokens.peak - first,
    )
    return part, first


def _is_plain_edge(tokens: Tokens, at: int) -> bool:
    """Whether token `at` and the one before are kept apart by two ASCII characters that cannot be one grapheme."""
    end = int(tokens.ends[at - 1])
    is_empty = end == int(tokens.ends[at]) or (end == int(tokens.ends[at - 2]) if at > 1 else end == 0)
    return not is_empty and tokens.text[end - 1] < 0x80 and tokens.text[end] < 0x80 and tokens.text[end - 1] != 0x0D


def snippet_window(peak: int) -> range:
    """The tokens around a peak that a list shows."""
    return range(peak - SNIPPET_TOKENS, peak + SNIPPET_TOKENS + 1)


def _segments(
    text: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The segment of each token, and the code point at which each segment ends."""
    if len(ends) == 0:
        return ends, ends
    is_cut = np.ones(len(ends), dtype=np.bool_)  # a text ends at a grapheme's edge
    np.greater_equal(starts[1:], ends[:-1], out=is_cut[:-1])  # or they share a character
    is_edge = _grapheme_edges(text)
    if is_edge is not None:
        is_cut[:-1] &= is_edge[ends[:-1]]
    return np.cumsum(is_cut) - is_cut, ends[is_cut]


def _grapheme_edges(text: str) -> NDArray[np.bool_] | None:
    """For every code point boundary, whether a grapheme ends there; None where one does at each."""
    if "\r" not in text and not has_joiner(text):
        return None
    edges = np.ones(len(text) + 1, dtype=np.bool_)
    for part in _NOT_PLAIN.finditer(text):
        edges[part.start() + 1 : part.end()] = False
        for match in _GRAPHEME.finditer(text, part.start(), part.end()):
            edges[match.end()] = True
    return edges


def has_joiner(text: str) -> bool:
    """Whether a character stands there that may join a neighbour to one grapheme; CR, which joins LF, is left out."""
    if text.isascii():
        return False
    code_points = _code_points(text)
    far = code_points[code_points >= _FIRST_JOINER].tobytes().decode("utf-32-le")
    return _JOINER.search(far) is not None


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def _utf16_lengths(text: str, ends: NDArray[np.int64]) -> list[int]:
    """UTF-16 units before these code point boundaries."""
    if not text.isascii() and (is_pair := _code_points(text) > 0xFFFF).any():
        ends = ends + np.concatenate([[0], np.cumsum(is_pair)])[ends]
    return ends.tolist()


def _marks(tokens: Tokens, segment_of: NDArray[np.int64], segments: range, skipped: int) -> list[Mark]:
    values = dict(zip(tokens.positions.tolist(), tokens.values.tolist(), strict=True))
    shown = sorted({*values, tokens.peak}) if len(segment_of) else []
    members: dict[int, list[TokenMark]] = {}
    for at in shown:
        segment = int(segment_of[at])
        if segment in segments:
            member = TokenMark(
                position=at + skipped,
                token_id=int(tokens.token_ids[at]),
                token=tokens.token(at),
                value=values.get(at),
            )
            members.setdefault(segment - segments.start, []).append(member)
    return [Mark(segment=segment, value=_strongest(found), tokens=found) for segment, found in members.items()]


def _strongest(members: list[TokenMark]) -> float | None:
    return max((member.value for member in members if member.value is not None), key=abs, default=None)
