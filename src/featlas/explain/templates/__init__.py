"""Prompt templates outside of any store: what they may ask for, how values come in, and the files they travel in."""

from featlas.explain.templates.files import NamedWording, from_json, load_shipped, to_json
from featlas.explain.templates.wording import (
    EVIDENCE,
    EVIDENCE_NUMBERS,
    EVIDENCE_RANGES,
    MAX_CHARACTERS,
    VARIABLES,
    check_wording,
    find_problems,
    find_variables,
    substitute,
)

__all__ = [
    "EVIDENCE",
    "EVIDENCE_NUMBERS",
    "EVIDENCE_RANGES",
    "MAX_CHARACTERS",
    "VARIABLES",
    "NamedWording",
    "check_wording",
    "find_problems",
    "find_variables",
    "from_json",
    "load_shipped",
    "substitute",
    "to_json",
]
