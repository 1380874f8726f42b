"""Where each token lies in a text, in code points, although tokens are bytes and may end inside a character."""

import numpy as np
from numpy.typing import NDArray

Spans = tuple[tuple[int, int], ...]


def decode_spans(text: bytes, ends: NDArray[np.integer]) -> tuple[str, Spans]:
    """As `decode_bounds`, with a pair for each token."""
    decoded, starts, stops = decode_bounds(text, ends)
    return decoded, tuple(zip(starts.tolist(), stops.tolist(), strict=True))


def decode_bounds(text: bytes, ends: NDArray[np.integer]) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
    """The text as a string and the start and end, in code points, of each token, whose bytes end at `ends`.

    The bytes are decoded as UTF-8; what is not UTF-8 (a window's edge may cut a character) becomes one U+FFFD per
    broken sequence. A token's span covers every character that it has a byte of, so spans tile the string in order
    and overlap only in characters that several tokens share. A token without bytes has an empty span.
    """
    end_bytes = np.asarray(ends, dtype=np.int64)
    start_bytes = np.concatenate([[0], end_bytes[:-1]]) if len(end_bytes) else end_bytes
    if text.isascii():  # as most are: a byte is a character
        return text.decode(), start_bytes, end_bytes
    is_start = (np.frombuffer(text, np.uint8) & 0xC0) != 0x80
    parts: list[str] = []
    at = 0
    while at < len(text):
        try:
            parts.append(text[at:].decode())
            break
        except UnicodeDecodeError as error:
            parts.append(text[at : at + error.start].decode() + "\ufffd")
            is_start[at + error.start : at + error.end] = False
            is_start[at + error.start] = True
            at += error.end
    # How many characters have begun before each byte boundary.
    begun = np.concatenate([[0], np.cumsum(is_start)])
    is_inside = np.concatenate([~is_start, [False]])
    starts = begun[start_bytes] - (is_inside[start_bytes] & (end_bytes > start_bytes))
    return "".join(parts), starts, begun[end_bytes]


def readable_token(token: bytes) -> str:
    r"""A token's bytes as text; bytes that are part of a character are shown as they are, for example \xf0\x9f."""
    return token.decode("utf-8", errors="backslashreplace")
