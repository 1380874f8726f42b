"""Turns a feature's evidence into the exact prompt: preview, dry run and call all come through here.

Dataset text is data. Every piece of it stands inside one JSON string on one line, in which line breaks, quotes, marks,
direction signs and other invisible characters are escaped: text can neither end its string nor begin a section,
whatever it imitates.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from featlas.domain import Example, PromptEvidence, PromptWording
from featlas.explain.answers import ANSWER_FORMAT
from featlas.explain.templates import find_variables, substitute

MARK_OPEN, MARK_CLOSE = "⟪", "⟫"
STRONGEST = 10
"""Activations are shown as integers from 1 to this, the strongest of the label split; 0 where it is silent."""

MAX_TOKEN, MAX_EXAMPLE = 60, 700
"""Most characters of one token and of one example: some tokens are hundreds of spaces."""

# What does not show or turns other text around (controls, directions, joiners, fillers, tags that spell hidden text),
# what ends a line for somebody, lone surrogates, and our own marks.
_HIDDEN = regex.compile(
    r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb" + MARK_OPEN + MARK_CLOSE + "]"
)


@dataclass(frozen=True)
class RenderedPrompt:
    """The two texts, exactly as they are sent, and what of the run they show, as plain JSON."""

    system: str
    user: str
    shown: Mapping[str, Any]

    @property
    def prompt_hash(self) -> str:
        """sha256 of both texts."""
        return hashlib.sha256(f"{self.system}\0{self.user}".encode("utf-8", "surrogatepass")).hexdigest()


def render_prompt(wording: PromptWording, evidence: PromptEvidence) -> RenderedPrompt:
    """The prompt of one feature in a template's wording."""
    values = _values(evidence, wording.evidence.window)
    used = set(find_variables(wording))
    contexts = {
        kind: [example.context for example in getattr(evidence, kind)] if used & variables else []
        for kind, variables in _SHOWN_BY.items()
    }
    return RenderedPrompt(
        system=substitute(wording.system_text, values),
        user=substitute(wording.user_text, values),
        shown={"n_fires": evidence.n_fires, **contexts},
    )


_SHOWN_BY: Mapping[str, set[str]] = {
    "top": {"examples", "contexts"},
    "spread": {"examples"},
    "near_misses": {"near_misses", "negatives"},
    "non_firing": {"non_firing", "negatives"},
}


def _values(evidence: PromptEvidence, window: int) -> dict[str, str]:
    firing = (*evidence.top, *evidence.spread)
    silent = (*evidence.near_misses, *evidence.non_firing)

    def listed(examples: tuple[Example, ...]) -> str:
        return _numbered([render_example(example, evidence.max_activation, window) for example in examples])

    return {
        "examples": listed(firing),
        "contexts": listed(evidence.top),
        "near_misses": listed(evidence.near_misses),
        "non_firing": listed(evidence.non_firing),
        "negatives": listed(silent),
        "tokens": _tokens(evidence),
        "statistics": _statistics(evidence),
        "logits": _logits(evidence),
        "answer_format": ANSWER_FORMAT,
        "model": escape(evidence.model),
        "hook_point": escape(evidence.hook_point),
    }


def _numbered(lines: list[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1)) or "(none)"


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
"""One for all: json.dumps makes a new encoder for every token."""


def escape(text: str) -> str:
    """Text as it stands inside a JSON string, with everything escaped that does not show or could be taken for ours."""
    escaped = _ENCODE(text)[1:-1]
    return _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], escaped)


def render_example(example: Example, strongest: float | None, window: int) -> str:
    """One example as a JSON string: `window` tokens around the peak, marked where the feature fires."""
    segments = _segments(example, window, _shown_values(example, strongest))
    pieces = [_piece(segment, example.text) for segment in segments]
    at_peak = next((at for at, segment in enumerate(segments) if segment.has_peak), 0)
    line = ""
    for piece in _cut(pieces, at_peak):
        # A 1 with a 0 of the text behind it would be read as a 10.
        is_read_as_ten = piece.startswith("0") and line.endswith((f"{MARK_CLOSE}1", f"{MARK_CLOSE}-1"))
        line += f"\\u0030{piece[1:]}" if is_read_as_ten else piece
    return f'"{line}"'


def _shown_values(example: Example, strongest: float | None) -> dict[int, int]:
    """The numbers behind the marks, by position."""
    if example.max_activation is None and example.band == "near_miss":
        return {example.peak: 0}  # the place at which it might have fired
    return {at: _scaled(value, strongest) for at, value in zip(example.positions, example.values, strict=True)}


@dataclass(frozen=True)
class _Segment:
    """A token, or several that share a character: its code points, and the activation behind its mark or None."""

    start: int
    stop: int
    value: int | None
    has_peak: bool


def _segments(example: Example, window: int, values: Mapping[int, int]) -> list[_Segment]:
    """The segments of the tokens in the window."""
    found: list[_Segment] = []
    for at in _around(example.peak, len(example.token_spans), window):
        new = _Segment(*example.token_spans[at], values.get(at), at == example.peak)
        if found and new.start < found[-1].stop:
            old = found.pop()
            both = [value for value in (old.value, new.value) if value is not None]
            value = max(both, key=abs) if both else None
            new = _Segment(old.start, max(old.stop, new.stop), value, old.has_peak or new.has_peak)
        found.append(new)
    return found


def _around(peak: int, n: int, window: int) -> range:
    """A window with the peak at two thirds: what comes before a token explains more than what comes after."""
    first = max(0, min(peak - (2 * window) // 3, n - window))
    return range(first, min(n, first + window))


def _piece(segment: _Segment, text: str) -> str:
    piece = escape(_shortened(text[segment.start : segment.stop]))
    return piece if segment.value is None else f"{MARK_OPEN}{piece}{MARK_CLOSE}{segment.value}"


def _cut(pieces: Sequence[str], at: int) -> Sequence[str]:
    """The piece at a place with those around it that fit into MAX_EXAMPLE characters, taken from both sides in turn."""
    first, end = at, min(at + 1, len(pieces))
    n = sum(map(len, pieces[first:end]))
    is_growing = True
    while is_growing:
        is_growing = False
        if end < len(pieces) and n + len(pieces[end]) <= MAX_EXAMPLE:
            n, end, is_growing = n + len(pieces[end]), end + 1, True
        if first > 0 and n + len(pieces[first - 1]) <= MAX_EXAMPLE:
            n, first, is_growing = n + len(pieces[first - 1]), first - 1, True
    return pieces[first:end]


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TOKEN else f"{text[: MAX_TOKEN // 2]}…{text[-MAX_TOKEN // 2 :]}"


def _scaled(value: float, strongest: float | None) -> int:
    """The activation in tenths of the strongest, at least 1 where it fires; with its sign."""
    size = math.ceil(STRONGEST * min(abs(value) / strongest, 1.0)) if strongest else STRONGEST
    return max(1, size) if value >= 0 else -max(1, size)


def _tokens(evidence: PromptEvidence) -> str:
    lines = [
        f'"{escape(_shortened(token.token))}": fires at {token.n_fires:,} of its {token.n_occurrences:,} places'
        f" ({_percent(token.n_fires, token.n_occurrences)}); {_percent(token.n_fires, evidence.n_fires)} of all firings"
        for token in evidence.tokens
    ]
    return "\n".join(f"- {line}" for line in lines) or "(it never fires here)"


def _statistics(evidence: PromptEvidence) -> str:
    lines = [
        f"- fires at {evidence.n_fires:,} of {evidence.n_tokens:,} tokens"
        f" ({_percent(evidence.n_fires, evidence.n_tokens)}), in {evidence.n_contexts_fired:,} contexts",
    ]
    if evidence.mean_activation is not None and evidence.max_activation:
        share = evidence.mean_activation / evidence.max_activation
        lines.append(
            f"- when it fires: mean activation {share * STRONGEST:.1f} on the scale on which the strongest is 10"
        )
    return "\n".join(lines)


def _logits(evidence: PromptEvidence) -> str:
    if evidence.promoted is None or evidence.suppressed is None:
        return "(not computed for this SAE)"

    def quoted(tokens: tuple[str, ...]) -> str:
        return ", ".join(f'"{escape(_shortened(token))}"' for token in tokens) or "(none)"

    return f"- promotes: {quoted(evidence.promoted)}\n- suppresses: {quoted(evidence.suppressed)}"


def _percent(n: int, of: int) -> str:
    if not of:
        return "–"
    share = 100 * n / of
    return f"{share:.0f} %" if share >= 10 else f"{share:.2g} %"
