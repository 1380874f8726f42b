"""The one evaluator of queries: a query's tree over a snapshot's columns in NumPy, the same for CLI, API and jobs."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featlas.domain import FeatureFlag, LabelSource, ReviewState
from featlas.query.tree import (
    And,
    Between,
    Category,
    Compare,
    Has,
    InList,
    Is,
    Node,
    Not,
    Operator,
    Or,
    Query,
    QueryError,
    Span,
    Text,
    Token,
)

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

SOURCES = tuple(LabelSource)
REVIEWS = tuple(ReviewState)

_COMPARISONS = {
    Operator.GREATER: np.greater,
    Operator.GREATER_EQUAL: np.greater_equal,
    Operator.LESS: np.less,
    Operator.LESS_EQUAL: np.less_equal,
    Operator.EQUAL: np.equal,
}
_FLAG_STATES = {
    "dead": FeatureFlag.DEAD,
    "dense": FeatureFlag.DENSE,
    "sink_only": FeatureFlag.SINK_ONLY,
    "null": FeatureFlag.NULL,
    "duplicate": FeatureFlag.DUPLICATE,
}


class Lookup(Protocol):
    """Where terms that no column answers are looked up; each gives feature indices in any order."""

    def find_text(self, text: str) -> Indices:
        """Features whose label or category contains the text, case folded."""
        ...

    def find_token(self, token: bytes) -> Indices:
        """Features with the token of exactly these bytes among their tokens."""
        ...

    def find_list(self, name: str) -> Indices:
        """Members of a list; raises NotFoundError where there is none of this name."""
        ...

    def find_stale(self) -> Indices:
        """Features whose label in force was asked for in words that its template no longer has."""
        ...

    def find_failed(self) -> Indices:
        """Features of which a language model was asked last, without an answer that could be used."""
        ...


class Kept:
    """The last few arrays that took long to make, by what they answer; may be shared between threads."""

    def __init__(self, n: int = 8) -> None:
        self._n = n
        self._lock = threading.Lock()
        self._arrays: OrderedDict[Hashable, Indices] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Indices]) -> Indices:
        """The array of this key; made where it is not kept, without holding up others."""
        with self._lock:
            found = self._arrays.get(key)
        if found is None:
            found = make()
        with self._lock:
            self._arrays[key] = found
            self._arrays.move_to_end(key)
            while len(self._arrays) > self._n:
                self._arrays.popitem(last=False)
        return found


@dataclass(frozen=True)
class StateColumns:
    """What people and labelers said of each feature, by feature_index; every array has shape [n_features].

    `category` and `source` are positions in `categories` and SOURCES, −1 for none; `review` is a position in REVIEWS;
    `score` is NaN where there is none. `found` keeps what texts were found in; it ends with the state it was found in.
    """

    has_label: Mask
    category: NDArray[np.int32]
    categories: tuple[str, ...]
    source: NDArray[np.int8]
    review: NDArray[np.int8]
    is_linted: Mask
    is_favorite: Mask
    score: NDArray[np.float64]
    found: Kept = field(default_factory=Kept, compare=False)

    @classmethod
    def empty(cls, n_features: int) -> "StateColumns":
        """The state of features of which nobody has said anything."""
        return cls(
            has_label=np.zeros(n_features, dtype=np.bool_),
            category=np.full(n_features, -1, dtype=np.int32),
            categories=(),
            source=np.full(n_features, -1, dtype=np.int8),
            review=np.zeros(n_features, dtype=np.int8),
            is_linted=np.zeros(n_features, dtype=np.bool_),
            is_favorite=np.zeros(n_features, dtype=np.bool_),
            score=np.full(n_features, np.nan),
        )


@dataclass(frozen=True)
class Columns:
    """One number per feature in each array, by feature_index; null is NaN in floats and −1 in signed integers.

    `orders` keeps all features sorted by a fact: to sort a million for each page would take longer than all else.
    """

    sae_id: int
    facts: Mapping[str, NDArray]
    flags: NDArray[np.uint32]
    state: StateColumns
    orders: Kept = field(default_factory=Kept, compare=False)

    @property
    def n_features(self) -> int:
        """Number of features, null features included."""
        return len(self.flags)

    @property
    def fields(self) -> Collection[str]:
        """The numeric fields that a query over these columns may name (for `parse_query(…, fields=…)`)."""
        return dict.fromkeys(["feature_index", *self.facts, "score"])

    def values(self, name: str, span: Span) -> NDArray:
        """A field's values. Shape [n_features]. Raises QueryError at `span` where there is no such column."""
        if name == "feature_index":
            return np.arange(self.n_features)
        if name == "score":
            return self.state.score
        if name not in self.facts:
            raise QueryError(f"this run has no {name!r}", span, expected="one of " + ", ".join(self.fields))
        return self.facts[name]


def find_matches(query: Query, columns: Columns, lookup: Lookup) -> Mask:
    """Which features a query matches. Null features are left out unless the query says is:null."""
    mask = np.ones(columns.n_features, dtype=np.bool_)
    if query.where is not None:
        mask = _evaluate(query.where, columns, lookup)
    if not query.shows_null:
        mask = mask & ((columns.flags & FeatureFlag.NULL) == 0)
    return mask


def _evaluate(node: Node, columns: Columns, lookup: Lookup) -> Mask:
    match node:
        case Not(clause):
            return ~_evaluate(clause, columns, lookup)
        case And(clauses):
            return np.logical_and.reduce([_evaluate(clause, columns, lookup) for clause in clauses])
        case Or(clauses):
            return np.logical_or.reduce([_evaluate(clause, columns, lookup) for clause in clauses])
        case Text(text):
            return among(columns.state.found.get(text, lambda: lookup.find_text(text)), columns)
        case Token(token):
            return among(lookup.find_token(token), columns)
        case InList(name):
            return among(lookup.find_list(name), columns)
        case Is("stale"):
            return among(lookup.find_stale(), columns)
        case Is("failed"):
            return among(lookup.find_failed(), columns)
        case _:
            return _evaluate_column(node, columns)


def _evaluate_column(node: Compare | Between | Category | Is | Has, columns: Columns) -> Mask:
    match node:
        case Compare(name, operator, number):
            values = columns.values(name, node.span)
            return _COMPARISONS[operator](values, np.float64(number)) & is_known(values)
        case Between(name, low, high):
            return _between(columns.values(name, node.span), low, high)
        case Category(path):
            return _in_category(path, columns.state)
        case Is(state):
            return _is_state(state, columns)
        case Has(name):
            return _has(name, columns, node.span)


def among(indices: Indices, columns: Columns) -> Mask:
    """Which of all features are among these."""
    mask = np.zeros(columns.n_features, dtype=np.bool_)
    mask[indices[indices < columns.n_features]] = True
    return mask


def is_known(values: NDArray) -> Mask:
    """Where a column is not null."""
    if values.dtype.kind == "f":
        return ~np.isnan(values)
    return values != -1 if values.dtype.kind == "i" else np.ones(len(values), dtype=np.bool_)


def _between(values: NDArray, low: float | None, high: float | None) -> Mask:
    # In float64, so that 0.1 means 0.1 whatever the column's precision.
    mask = is_known(values)
    if low is not None:
        mask &= values >= np.float64(low)
    if high is not None:
        mask &= values <= np.float64(high)
    return mask


def category_path(label: str) -> tuple[str, ...]:
    """The steps of a category label as they are compared: split at ">", trimmed, case folded."""
    return tuple(step.strip().casefold() for step in label.split(">"))


def _in_category(path: tuple[str, ...], state: StateColumns) -> Mask:
    wanted = tuple(step.casefold() for step in path)
    within = [category_path(label)[: len(wanted)] == wanted for label in state.categories]
    return np.array([*within, False])[state.category]  # −1 is the last: no category


def _is_state(name: str, columns: Columns) -> Mask:
    state = columns.state
    match name:
        case "labeled":
            return state.has_label
        case "unlabeled":
            return ~state.has_label
        case "favorite":
            return state.is_favorite
        case "linted":
            return state.is_linted
        case "human":
            return state.source == SOURCES.index(LabelSource.HUMAN)
        case "machine":
            return np.isin(
                state.source, [SOURCES.index(s) for s in (LabelSource.LLM, LabelSource.RULE, LabelSource.LEXICAL)]
            )
        case "imported":
            return state.source == SOURCES.index(LabelSource.IMPORTED)
        case "unreviewed" | "accepted" | "rejected":
            return state.review == REVIEWS.index(ReviewState(name))
        case _:
            return (columns.flags & _FLAG_STATES[name]) != 0


def _has(name: str, columns: Columns, span: Span) -> Mask:
    state = columns.state
    if name == "label":
        return state.has_label
    if name == "category":
        return state.category >= 0
    return state.is_linted if name == "lint" else is_known(columns.values(name, span))
