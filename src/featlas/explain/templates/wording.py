"""The variables of a prompt, how they are replaced, and what is wrong with a wording before it is saved.

Replacing is literal, in one pass and by an allow-list. `str.format` is never used: it would read attributes of what it
is given, and break on the braces of JSON.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping

from featlas.domain import EvidenceOptions, PromptWording
from featlas.errors import InputError

VARIABLES: Mapping[str, str] = {
    "examples": "contexts in which the feature fires, the strongest first, then some drawn from the whole range of"
    " strengths; each token on which it fires is marked ⟪so⟫7, from 1 to 10",
    "contexts": "the strongest of these contexts only, marked in the same way",
    "near_misses": "contexts that hold the feature's usual tokens and in which it is silent; the place where it could"
    " have fired is marked ⟪so⟫0",
    "non_firing": "contexts drawn by chance in which it is silent",
    "negatives": "near_misses and non_firing together",
    "tokens": "the tokens on which it fires most, each with how often it fires there",
    "statistics": "how often it fires and how strongly on average",
    "logits": "the tokens that it makes more likely to come next and less likely, or a line that says that this was not"
    " computed",
    "answer_format": "the JSON to answer with",
    "model": "the name of the model",
    "hook_point": "where the model is read, as in blocks.7.hook_resid_post",
}
"""Every variable that a template may use, with what stands in its place."""

EVIDENCE = ("examples", "contexts", "near_misses", "non_firing", "negatives", "tokens", "logits")
"""Variables that show something of the feature; a prompt without any could only be guessed at."""

EVIDENCE_NUMBERS: Mapping[str, str] = {
    "n_top": "strongest examples",
    "n_spread": "examples drawn from the whole range of strengths",
    "n_near_misses": "silent contexts that hold the feature's usual tokens",
    "n_non_firing": "silent contexts drawn by chance",
    "n_tokens": "rows of the token table",
    "n_logits": "promoted tokens, and as many suppressed ones",
    "window": "tokens of each example, around its peak",
}
"""What each number of EvidenceOptions counts."""

MAX_CHARACTERS = 20_000
MAX_COUNT = 50
EVIDENCE_RANGES: Mapping[str, tuple[int, int]] = {
    name: (8, 128) if name == "window" else (0, MAX_COUNT) for name in EVIDENCE_NUMBERS
}
"""Smallest and largest value of each number of EvidenceOptions."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "examples": ("n_top", "n_spread"),
    "contexts": ("n_top",),
    "near_misses": ("n_near_misses",),
    "non_firing": ("n_non_firing",),
    "negatives": ("n_near_misses", "n_non_firing"),
    "tokens": ("n_tokens",),
    "logits": ("n_logits",),
}
_NAMED = re.compile(r"\{([a-z_]+)\}")
# A variable's name in braces with something more, or in capitals: {examples.x}, {examples!r}, { examples }, {Examples}.
_ALMOST = re.compile(r"\{\s*(" + "|".join(sorted(VARIABLES, key=len, reverse=True)) + r")\b[^{}]*\}", re.IGNORECASE)
_SHOWN = 40


def substitute(text: str, values: Mapping[str, str]) -> str:
    """The text with `{name}` replaced by its value, for the names of VARIABLES only; all else stays as it is.

    Values are not looked at again: what they hold in braces stays. Raises InputError where a value is missing.
    """

    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        if name not in VARIABLES:
            return found[0]
        if name not in values:
            raise InputError(f"there is no value for the variable {{{name}}}; expected one for each that is used")
        return values[name]

    return _NAMED.sub(value_of, text)


def find_variables(wording: PromptWording) -> tuple[str, ...]:
    """The variables that a wording uses, in the order of VARIABLES."""
    used = {name for text in (wording.system_text, wording.user_text) for name in _NAMED.findall(text)}
    return tuple(name for name in VARIABLES if name in used)


def check_wording(wording: PromptWording) -> None:
    """Raise InputError with everything that is wrong with a wording."""
    problems = find_problems(wording)
    if problems:
        raise InputError("; ".join(problems))


def find_problems(wording: PromptWording) -> tuple[str, ...]:
    """Everything that is wrong with a wording, each with its place; empty where it can be saved."""
    texts = {"system text": wording.system_text, "user text": wording.user_text}
    problems = [problem for where, text in texts.items() for problem in _problems_of_text(where, text)]
    if not wording.user_text.strip():
        problems.append("the user text is empty; expected what the model is asked")
    used = find_variables(wording)
    if "answer_format" not in used:
        problems.append("neither text has {answer_format}, which says how to answer; add it, for example at the end")
    if not set(EVIDENCE) & set(used):
        problems.append(f"neither text shows anything of the feature; expected at least one of {_listed(EVIDENCE)}")
    problems += _problems_of_evidence(wording.evidence, used)
    return tuple(dict.fromkeys(problems))


def _problems_of_text(where: str, text: str) -> Iterator[str]:
    if len(text) > MAX_CHARACTERS:
        yield f"the {where} has {len(text):,} characters; expected at most {MAX_CHARACTERS:,}"
        return
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{where}, line {number}"
        for character in dict.fromkeys(line):
            if character != "\t" and unicodedata.category(character) in ("Cc", "Cs"):
                yield f"{place}: the character U+{ord(character):04X} does not show; take it out"
        for name in _NAMED.findall(line):
            if name not in VARIABLES:
                yield f"{place}: there is no variable {{{name}}}; {_suggestion(name)}"
    for found in _ALMOST.finditer(text):
        if found[0][1:-1] not in VARIABLES:
            number = text.count("\n", 0, found.start()) + 1
            written = found[0] if len(found[0]) <= _SHOWN else found[0][:_SHOWN] + "…"
            written = " ".join(written.split())
            yield f"{where}, line {number}: {written} is not a variable; write {{{found[1].lower()}}} and nothing else"


def _problems_of_evidence(evidence: EvidenceOptions, used: tuple[str, ...]) -> Iterator[str]:
    for name, (low, high) in EVIDENCE_RANGES.items():
        value = getattr(evidence, name)
        if not low <= value <= high:
            yield f"{name} {value}: expected {low} … {high}"
    for name in used:
        needed = _NEEDS.get(name, ())
        if needed and not any(getattr(evidence, number) for number in needed):
            yield f"{{{name}}} would be empty: {' and '.join(needed)} {'is' if len(needed) == 1 else 'are'} 0"


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, VARIABLES, n=1)
    return f"did you mean {{{close[0]}}}?" if close else f"expected one of {_listed(tuple(VARIABLES))}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
