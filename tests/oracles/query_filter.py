"""What a query means, feature by feature in plain Python: the slow twin of store/columns.py and its look-ups."""

import operator
from dataclasses import dataclass, field
from typing import Any

from featlas.query import Query, SortKey
from featlas.query.tree import And, Between, Category, Compare, Has, Is, Node, Not, Or, Text, Token


@dataclass
class Feature:
    """One feature as a person would write it down; None means that there is no value."""

    feature_index: int
    numbers: dict[str, float | int | None]
    flags: set[str] = field(default_factory=set)
    semantic_label: str | None = None
    category_label: str | None = None
    source: str | None = None
    review: str = "unreviewed"
    lint: list[str] = field(default_factory=list)
    is_favorite: bool = False
    is_stale: bool = False
    is_failed: bool = False
    tokens: set[bytes] = field(default_factory=set)


def matches(features: list[Feature], query: Query) -> list[int]:
    """Indices of the features that the query finds, ascending."""
    found = [f for f in features if query.where is None or holds(query.where, f)]
    return [f.feature_index for f in found if query.shows_null or "null" not in f.flags]


def ordered(features: list[Feature], query: Query) -> list[int]:
    """The same in the query's order: nulls last, ties by feature_index."""
    found = [features[index] for index in matches(features, query)]
    for key in reversed(query.sort or (SortKey("activation_frequency", True),)):
        known = [f for f in found if number(f, key.field) is not None]
        unknown = [f for f in found if number(f, key.field) is None]
        # Python's sort keeps the order of equals in both directions, which is the order by the later keys.
        found = sorted(known, key=lambda f, name=key.field: number(f, name), reverse=key.is_descending) + unknown  # pyright: ignore
    return [f.feature_index for f in found]


def number(feature: Feature, name: str) -> float | int | None:
    return feature.feature_index if name == "feature_index" else feature.numbers[name]


def holds(node: Node, feature: Feature) -> bool:
    match node:
        case And(clauses):
            return all(holds(clause, feature) for clause in clauses)
        case Or(clauses):
            return any(holds(clause, feature) for clause in clauses)
        case Not(clause):
            return not holds(clause, feature)
        case _:
            return _term_holds(node, feature)


def _term_holds(node: Any, feature: Feature) -> bool:
    match node:
        case Text(text):
            labels = [feature.semantic_label or "", feature.category_label or ""]
            wanted = text.casefold().replace("\x1f", " ")  # the unit separator counts as a space
            return any(wanted in label.casefold() for label in labels)
        case Token(token):
            return token in feature.tokens
        case Category(path):
            steps = [step.strip().casefold() for step in (feature.category_label or "").split(">")]
            return steps[: len(path)] == [step.casefold() for step in path]
        case Is(state):
            return _is(state, feature)
        case Has(name):
            return _has(name, feature)
        case Compare(name, comparison, wanted):
            value = number(feature, name)
            return value is not None and _COMPARE[comparison](value, wanted)
        case Between(name, low, high):
            value = number(feature, name)
            return value is not None and (low is None or value >= low) and (high is None or value <= high)
        case _:
            raise AssertionError(node)


_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "=": operator.eq}


def _is(state: str, feature: Feature) -> bool:
    if state in ("labeled", "unlabeled"):
        return bool(feature.semantic_label) == (state == "labeled")
    if state in ("unreviewed", "accepted", "rejected"):
        return feature.review == state
    if state in ("human", "imported"):
        return feature.source == state
    if state == "machine":
        return feature.source in ("llm", "rule", "lexical")
    if state in ("favorite", "stale", "failed"):
        return getattr(feature, f"is_{state}")
    return bool(feature.lint) if state == "linted" else state in feature.flags


def _has(name: str, feature: Feature) -> bool:
    if name == "label":
        return bool(feature.semantic_label)
    if name == "category":
        return bool(feature.category_label)
    return bool(feature.lint) if name == "lint" else number(feature, name) is not None
