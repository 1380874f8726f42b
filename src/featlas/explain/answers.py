"""Reads the label out of what a language model answered, however it is wrapped; what cannot be read is a failure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANSWER_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "semantic_label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "category_label": {"type": "string"},
        "explanation": {"type": "string"},
        "confidence": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["semantic_label", "category_label", "explanation", "confidence"],
    "additionalProperties": False,
}
"""What a provider that supports JSON schemas is held to."""

ANSWER_FORMAT = """{
  "semantic_label": what the feature stands for in 2 to 8 words, or null if there is no clear pattern,
  "category_label": a path from general to special, as in "Language > Syntax > Punctuation",
  "explanation": one sentence that says when it fires and when not,
  "confidence": a number from 0 to 1, or null
}"""

MAX_TEXT = 2000
_MAX_TRIES = 200  # each costs as much as the text is long: an answer that is nothing but braces must not take minutes

_DECODER = json.JSONDecoder(strict=False)  # models put line breaks into strings

# Where something begins that decides what counts: an object, or a thought.
_LANDMARK = re.compile(r"""\{\s*["}]|<(/?)think(?:ing)?>""", re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_LAST_WORD = re.compile(r"\s*[\w.+-]*\s*\Z")
# What JSON can spell and no database takes for text, and what a terminal takes for orders.
_UNSTORABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class BadAnswer(Exception):
    """The answer holds no label; the message says what was expected, in words that the model may be told."""


@dataclass(frozen=True)
class ReadAnswer:
    """What a model said of a feature; without a label it abstained. `confidence` is None where it gave none."""

    semantic_label: str | None
    category_label: str | None
    explanation: str
    confidence: float | None


def read_answer(text: str) -> ReadAnswer:
    """The label in a completion; raises BadAnswer.

    Thinking aloud is dropped. Of several JSON objects that look like an answer the last one counts: what comes before
    may be quoted from the question.
    """
    objects = [found for found in _find_objects(text) if "semantic_label" in found]
    if not objects:
        raise BadAnswer('there is no JSON object with "semantic_label" in it')
    answer = objects[-1]
    label, category = _text(answer, "semantic_label"), _text(answer, "category_label")
    explanation = _text(answer, "explanation")
    if not label and not explanation:
        raise BadAnswer('both "semantic_label" and "explanation" are empty')
    is_pattern = bool(label) and label.casefold() != "null"  # in quotes, by models that are held to no schema
    return ReadAnswer(label if is_pattern else None, _as_path(category), explanation, _confidence(answer))


def _find_objects(text: str) -> list[dict[str, Any]]:
    """Every outermost JSON object outside of thoughts; none where the text ends inside one or is all beginnings.

    A thought may have begun before the text does, in the prompt of the model's server: its end alone tells of it. One
    without an end is a thought only where nothing was said before it, else a quotation.
    """
    objects: list[dict[str, Any]] = []
    last_end = max((found.end() for found in _END_OF_THOUGHT.finditer(text)), default=0)
    n_failed, n_thought, is_silent = 0, 0, True  # silent: nothing but thoughts so far, the last of which ended there
    landmark = _LANDMARK.search(text)
    while landmark is not None:
        end = landmark.end()
        is_silent = is_silent and not text[n_thought : landmark.start()].strip()
        if landmark[0].startswith("{"):
            is_silent = False
            try:
                found, end = _DECODER.raw_decode(text, landmark.start())
                objects.append(found)
            except (ValueError, RecursionError) as error:
                end = landmark.start() + 1
                n_failed += 1
                if n_failed > _MAX_TRIES or _is_cut(error, text):
                    return []
        elif landmark[1]:
            objects.clear()
        elif end < last_end and (thought := _END_OF_THOUGHT.search(text, end)):
            end = n_thought = thought.end()
        elif is_silent:
            return []
        landmark = _LANDMARK.search(text, end)
    return objects


def _is_cut(error: Exception, text: str) -> bool:
    """Whether a text ended before its last object did: what lies inside of that one is no answer."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or _LAST_WORD.match(text, error.pos) is not None


def _text(answer: Mapping[str, Any], name: str) -> str:
    """A text of the answer, trimmed; empty where it is null or missing."""
    value = answer.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadAnswer(f'"{name}" is {_KINDS.get(type(value), "a number")}, not a text')
    if len(value) > MAX_TEXT:
        raise BadAnswer(f'"{name}" has {len(value)} characters, expected at most {MAX_TEXT}')
    return _UNSTORABLE.sub("\ufffd", value).strip()


_KINDS: Mapping[type, str] = {dict: "an object", list: "a list", bool: "true or false"}


def _as_path(category: str) -> str | None:
    steps = [" ".join(step.split()) for step in category.split(">")]
    return " > ".join(step for step in steps if step) or None


def _confidence(answer: Mapping[str, Any]) -> float | None:
    """A number from 0 to 1; anything else is no confidence, and none is made up for it."""
    value = answer.get("confidence")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)
