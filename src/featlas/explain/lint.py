"""What is wrong with a label's text, told before anybody reads it: a label with lint is not in force until accepted."""

import re
from collections.abc import Mapping

MAX_WORDS, MAX_CHARACTERS = 8, 80
MIN_REPEATED, REPEATED_SHARE = 20, 0.01

CODES: Mapping[str, str] = {
    "empty": "there is no text",
    "echo": "it repeats the question instead of answering it",
    "reasoning": "it is a model thinking aloud",
    "too_long": f"it has more than {MAX_WORDS} words or {MAX_CHARACTERS} characters",
    "markup": "it holds markup, JSON or several lines",
    "no_pattern": "it says that there is no pattern, which is an abstention and not a label",
    "repeated": "many features of the SAE have the same text",
}
"""Every code with what it means."""

_ECHO = re.compile(
    r"\b(semantic[_ ]label|category[_ ]label"
    r"|(the|this) (feature|neuron|latent)('s)? (activates|fires|represents|label))"
    r"|\b(your (answer|label)|label here|as an ai|in (2|two)\s*[-–to]+\s*(8|eight) words)\b",
    re.IGNORECASE,
)
_REASONING = re.compile(
    r"</?think|^\s*(okay|ok|alright|hmm|let me|let's|first,|so,|i (need|should|will|think|see)|we (need|are|have)|"
    r"the user (wants|asks|is|gave|has)|looking at (the|these)|based on (the|these)|it (seems|appears|looks))\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"\*\*|__\w|^#{1,6} |```|</?[a-z]+>|^\s*[\[{].*[:\]}]|^\s*[-*•] |\n", re.IGNORECASE)
_NO_PATTERN = re.compile(
    r"^\W*(no|none|not|without|lack of)?\W*(an?y? )?"
    r"(clear|consistent|obvious|single|specific|discernible|apparent|common)?"
    r"\W*(pattern|theme|meaning|concept)s?( (found|identified|detected))?\W*$"
    r"|^\W*(unknown|unclear|n/?a|none|uninterpretable|polysemantic|miscellaneous|various|mixed|random)\b"
    r"|\bno (clear|consistent|obvious|single|specific|discernible|apparent|common) (pattern|theme|meaning|concept)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"[^"]*"')


def lint_label(semantic_label: str | None, *, prompt: str = "", n_same: int = 1, n_labels: int = 1) -> tuple[str, ...]:
    """The codes of all that is wrong with a label, in the order of CODES.

    `prompt` is what the labeler was asked, where it was asked; `n_same` of the `n_labels` labels of the SAE have this
    text. What a label quotes is not held against it: a feature can stand for `"**"`.
    """
    text = (semantic_label or "").strip()
    if not text:
        return ("empty",)
    own = _QUOTED.sub('"x"', text)
    found = {
        "echo": bool(_ECHO.search(own)) or _repeats(text, prompt),
        "reasoning": bool(_REASONING.search(own)),
        "too_long": len(text) > MAX_CHARACTERS or len(own.split()) > MAX_WORDS,
        "markup": bool(_MARKUP.search(own)),
        "no_pattern": bool(_NO_PATTERN.search(own)),
        "repeated": n_same > max(MIN_REPEATED, REPEATED_SHARE * n_labels),
    }
    return tuple(code for code in CODES if found.get(code))


def _repeats(text: str, prompt: str) -> bool:
    """Whether a label of some length stands in the prompt word for word."""
    words = " ".join(text.casefold().split())
    return len(words.split()) >= 4 and words in " ".join(prompt.casefold().split())
