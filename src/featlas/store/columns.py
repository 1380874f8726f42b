"""The one evaluator of queries: a query's tree over a snapshot's columns in NumPy, the same for CLI, API and jobs."""

import base64
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featlas.domain import FeatureFlag, LabelSource, ReviewState
from featlas.errors import InputError
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
    SortKey,
    Span,
    Text,
    Token,
)

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

DEFAULT_SORT = (SortKey("activation_frequency", is_descending=True),)

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


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: its values under the sort keys (None: null), and its feature_index."""

    sort: str
    values: tuple[float | None, ...]
    feature_index: int

    def encode(self) -> str:
        """As text that survives in a URL."""
        text = json.dumps([self.sort, self.values, self.feature_index], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `encode` wrote; raises InputError for anything else."""
        try:
            padding = "=" * (-len(text) % 4)
            sort, values, feature_index = json.loads(base64.b64decode(text + padding, altchars=b"-_", validate=True))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{text!r} is not a page mark; expected the `next` of an earlier page") from error
        are_numbers = isinstance(values, list) and all(v is None or _is_number(v) for v in values)
        if not (isinstance(sort, str) and are_numbers and isinstance(feature_index, int)):
            raise InputError(f"{text!r} is not a page mark; expected the `next` of an earlier page")
        return cls(sort, tuple(values), feature_index)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


@dataclass(frozen=True)
class Page:
    """Some of the matches in order; `next` is None on the last page."""

    n_matches: int
    feature_index: Indices
    next: Cursor | None


def find_matches(query: Query, columns: Columns, lookup: Lookup) -> Indices:
    """The features that a query matches, ascending. Null features are left out unless the query says is:null."""
    mask = np.ones(columns.n_features, dtype=np.bool_)
    if query.where is not None:
        mask = _evaluate(query.where, columns, lookup)
    if not query.shows_null:
        mask = mask & ((columns.flags & FeatureFlag.NULL) == 0)
    return np.flatnonzero(mask)


def find_order(matches: Indices, query: Query, columns: Columns) -> Indices:
    """All matches in the query's order (nulls last, ties by feature_index)."""
    kept = _kept_order(query.sort or DEFAULT_SORT, columns)
    if kept is not None:
        return kept[_among(matches, columns)[kept]]
    keys = _sort_keys(matches, query.sort or DEFAULT_SORT, columns)
    return matches[_stable_order(keys)]  # matches ascend, so what is tied stays in the order of feature_index


def find_page(matches: Indices, query: Query, columns: Columns, limit: int, after: Cursor | None = None) -> Page:
    """The first `limit` matches in the query's order that come after a cursor.

    `matches` ascend, as `find_matches` gives them. Raises InputError for a cursor of another order. Values that changed
    since the cursor was made move their rows, but no row is shown twice or left out for another's sake.
    """
    if limit < 1:
        raise InputError(f"a page of {limit} features; expected at least 1")
    sort = query.sort or DEFAULT_SORT
    if after is not None:
        _require_order(after, sort)
    order = _kept_order(sort, columns)
    start = None if order is None else _find_start(order, sort, columns, after)
    if order is not None and start is not None:
        found = _walk(order, start, _among(matches, columns), limit + 1)
    else:
        found = _sort_out(matches, sort, columns, limit + 1, after)
    shown = found[:limit]
    has_more = len(found) > limit
    return Page(len(matches), shown, _cursor(int(shown[-1]), sort, columns) if has_more else None)


def _kept_order(sort: tuple[SortKey, ...], columns: Columns) -> Indices | None:
    """All features under these keys (nulls last, ties by feature_index), or None where that is not kept.

    Kept is what one fact decides alone: facts never change, but what people say of features does.
    """
    (key, *more) = sort
    if more or key.field not in ("feature_index", *columns.facts):
        return None

    def sort_all() -> Indices:
        return _stable_order(_sort_keys(np.arange(columns.n_features), sort, columns))

    return columns.orders.get((key.field, key.is_descending), sort_all)


def _sort_out(
    matches: Indices, sort: tuple[SortKey, ...], columns: Columns, limit: int, after: Cursor | None
) -> Indices:
    """The first `limit` matches after a cursor, by comparing all of them."""
    rows = matches if after is None else matches[_is_after(matches, sort, columns, after)]
    keys = _sort_keys(rows, sort, columns)
    first = _first(keys, len(rows), limit)
    return rows[first[np.lexsort([rows[first], *(key[first] for key in reversed(keys))])]]


def _find_start(order: Indices, sort: tuple[SortKey, ...], columns: Columns, after: Cursor | None) -> int | None:
    """The place in a kept order after a cursor; None where the cursor's feature has another value by now."""
    if after is None:
        return 0
    is_known = 0 <= after.feature_index < columns.n_features
    if not is_known or _cursor(after.feature_index, sort, columns).values != after.values:
        return None
    return int(np.flatnonzero(order == after.feature_index)[0]) + 1


def _walk(order: Indices, start: int, is_match: Mask, limit: int) -> Indices:
    """The first `limit` features of an order from a place on that match: in steps, as most pages end early."""
    found, n_found, step = [], 0, 64 * limit
    while start < len(order) and n_found < limit:
        part = order[start : start + step]
        found.append(part[is_match[part]])
        n_found += len(found[-1])
        start, step = start + step, 4 * step
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])[:limit]


def _evaluate(node: Node, columns: Columns, lookup: Lookup) -> Mask:
    match node:
        case Not(clause):
            return ~_evaluate(clause, columns, lookup)
        case And(clauses):
            return np.logical_and.reduce([_evaluate(clause, columns, lookup) for clause in clauses])
        case Or(clauses):
            return np.logical_or.reduce([_evaluate(clause, columns, lookup) for clause in clauses])
        case Text(text):
            return _among(columns.state.found.get(text, lambda: lookup.find_text(text)), columns)
        case Token(token):
            return _among(lookup.find_token(token), columns)
        case InList(name):
            return _among(lookup.find_list(name), columns)
        case Is("stale"):
            return _among(lookup.find_stale(), columns)
        case Is("failed"):
            return _among(lookup.find_failed(), columns)
        case _:
            return _evaluate_column(node, columns)


def _evaluate_column(node: Compare | Between | Category | Is | Has, columns: Columns) -> Mask:
    match node:
        case Compare(name, operator, number):
            values = columns.values(name, node.span)
            return _COMPARISONS[operator](values, np.float64(number)) & _is_known(values)
        case Between(name, low, high):
            return _between(columns.values(name, node.span), low, high)
        case Category(path):
            return _in_category(path, columns.state)
        case Is(state):
            return _is_state(state, columns)
        case Has(name):
            return _has(name, columns, node.span)


def _among(indices: Indices, columns: Columns) -> Mask:
    mask = np.zeros(columns.n_features, dtype=np.bool_)
    mask[indices[indices < columns.n_features]] = True
    return mask


def _is_known(values: NDArray) -> Mask:
    if values.dtype.kind == "f":
        return ~np.isnan(values)
    return values != -1 if values.dtype.kind == "i" else np.ones(len(values), dtype=np.bool_)


def _between(values: NDArray, low: float | None, high: float | None) -> Mask:
    # In float64, so that 0.1 means 0.1 whatever the column's precision.
    mask = _is_known(values)
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
    return state.is_linted if name == "lint" else _is_known(columns.values(name, span))


def _sort_keys(rows: Indices, sort: tuple[SortKey, ...], columns: Columns) -> list[NDArray]:
    """Arrays that ascend in the wanted order, most important first: for each sort key, is it null, then its value."""
    keys: list[NDArray] = []
    for key in sort:
        values = columns.values(key.field, key.span)[rows]
        unknown = ~_is_known(values)
        signed = values if values.dtype.kind == "f" else values.astype(np.int64)
        ascending = -signed if key.is_descending else signed
        if unknown.any():
            keys.append(unknown)
            ascending = np.where(unknown, 0, ascending)
        keys.append(ascending)
    return keys


def _stable_order(keys: list[NDArray]) -> Indices:
    """`np.lexsort` of the keys, most important first, but faster where one key is left after the nulls."""
    first, *rest = keys
    if rest and first.dtype.kind == "b":
        parts = (np.flatnonzero(~first), np.flatnonzero(first))
        return np.concatenate([part[_stable_order([key[part] for key in rest])] for part in parts])
    if rest:
        return np.lexsort(keys[::-1])
    # A sort that is not stable, then the places of equal values put back in order.
    order = np.argsort(first)
    ascending = first[order]
    group = np.cumsum(np.concatenate([[False], ascending[1:] != ascending[:-1]])[: len(order)])
    packed = (group << 32) | order
    packed.sort()
    return packed & 0xFFFFFFFF


def _first(keys: list[NDArray], n_rows: int, limit: int) -> Indices:
    """The `limit` first rows under the keys, in no order: cheaper than sorting all of them."""
    candidates, chosen = np.arange(n_rows), [np.zeros(0, dtype=np.int64)]
    for key in keys:
        if len(candidates) <= limit:
            break
        values = key[candidates]
        last = np.partition(values, limit - 1)[limit - 1]
        chosen.append(candidates[values < last])
        candidates = candidates[values == last]
        limit -= len(chosen[-1])
    return np.concatenate([*chosen, candidates[:limit]])  # rows ascend by feature_index, the last key


def _sort_text(sort: tuple[SortKey, ...]) -> str:
    return ",".join(f"{'-' * key.is_descending}{key.field}" for key in sort)


def _cursor(feature_index: int, sort: tuple[SortKey, ...], columns: Columns) -> Cursor:
    values: list[float | None] = []
    for key in sort:
        value = columns.values(key.field, key.span)[feature_index : feature_index + 1]
        values.append(value[0].item() if _is_known(value)[0] else None)
    return Cursor(_sort_text(sort), tuple(values), feature_index)


def _require_order(after: Cursor, sort: tuple[SortKey, ...]) -> None:
    if after.sort != _sort_text(sort) or len(after.values) != len(sort):
        raise InputError(f"the page mark is of the order {after.sort!r}; expected one of {_sort_text(sort)!r}")


def _is_after(rows: Indices, sort: tuple[SortKey, ...], columns: Columns, after: Cursor) -> Mask:
    later = np.zeros(len(rows), dtype=np.bool_)
    tied = np.ones(len(rows), dtype=np.bool_)
    for key, bound in zip(sort, after.values, strict=True):
        values = columns.values(key.field, key.span)[rows]
        known = _is_known(values)
        if bound is None:
            tied &= ~known
            continue
        beyond = values < bound if key.is_descending else values > bound
        later |= tied & (beyond | ~known)
        tied &= known & (values == bound)
    return later | (tied & (rows > after.feature_index))
