"""The order of matches and their pages: keyset paging over orders that are kept, so that a page sorts nothing."""

import base64
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.errors import InputError
from featlas.query.tree import Query, SortKey
from featlas.store.columns import Columns, Indices, Mask, is_known

DEFAULT_SORT = (SortKey("activation_frequency", is_descending=True),)


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


def find_order(is_match: Mask, query: Query, columns: Columns) -> Indices:
    """All matches in the query's order (nulls last, ties by feature_index)."""
    kept = _kept_order(query.sort or DEFAULT_SORT, columns)
    if kept is not None:
        return kept[is_match[kept]]
    matches = np.flatnonzero(is_match)
    keys = _sort_keys(matches, query.sort or DEFAULT_SORT, columns)
    return matches[_stable_order(keys)]  # matches ascend, so what is tied stays in the order of feature_index


def find_page(is_match: Mask, query: Query, columns: Columns, limit: int, after: Cursor | None = None) -> Page:
    """The first `limit` matches in the query's order that come after a cursor.

    Raises InputError for a cursor of another order. Values that changed since the cursor was made move their rows, but
    no row is shown twice or left out for another's sake.
    """
    if limit < 1:
        raise InputError(f"a page of {limit} features; expected at least 1")
    sort = query.sort or DEFAULT_SORT
    if after is not None:
        _require_order(after, sort)
    order = _kept_order(sort, columns)
    start = None if order is None else _find_start(order, sort, columns, after)
    if order is not None and start is not None:
        found = _walk(order, start, is_match, limit + 1)
    else:
        found = _sort_out(np.flatnonzero(is_match), sort, columns, limit + 1, after)
    shown = found[:limit]
    has_more = len(found) > limit
    return Page(int(np.count_nonzero(is_match)), shown, _cursor(int(shown[-1]), sort, columns) if has_more else None)


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


def _sort_keys(rows: Indices, sort: tuple[SortKey, ...], columns: Columns) -> list[NDArray]:
    """Arrays that ascend in the wanted order, most important first: for each sort key, is it null, then its value."""
    keys: list[NDArray] = []
    for key in sort:
        values = columns.values(key.field, key.span)[rows]
        unknown = ~is_known(values)
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
        values.append(value[0].item() if is_known(value)[0] else None)
    return Cursor(_sort_text(sort), tuple(values), feature_index)


def _require_order(after: Cursor, sort: tuple[SortKey, ...]) -> None:
    if after.sort != _sort_text(sort) or len(after.values) != len(sort):
        raise InputError(f"the page mark is of the order {after.sort!r}; expected one of {_sort_text(sort)!r}")


def _is_after(rows: Indices, sort: tuple[SortKey, ...], columns: Columns, after: Cursor) -> Mask:
    later = np.zeros(len(rows), dtype=np.bool_)
    tied = np.ones(len(rows), dtype=np.bool_)
    for key, bound in zip(sort, after.values, strict=True):
        values = columns.values(key.field, key.span)[rows]
        known = is_known(values)
        if bound is None:
            tied &= ~known
            continue
        beyond = values < bound if key.is_descending else values > bound
        later |= tied & (beyond | ~known)
        tied &= known & (values == bound)
    return later | (tied & (rows > after.feature_index))
