"""Sorting and reducing runs of rows at array speed, so that no statistic loops over features in Python.

A *segment* is a small integer that says which list a row belongs to (a feature, a feature and split, …).
"""

import numpy as np
from numpy.typing import NDArray


def run_starts(*columns: NDArray) -> NDArray[np.int64]:
    """Indices at which any of the given columns (equal length) differs from the row before; row 0 starts a run."""
    n = len(columns[0])
    changed = np.zeros(n, dtype=bool)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)


def run_lengths(starts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Length of each run that begins at `starts`, the last one ending at row n."""
    return np.diff(starts, append=n)


def rank_in_run(starts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The 0-based place of each of n rows in its run."""
    return np.arange(n) - np.repeat(starts, run_lengths(starts, n))


def concat_ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The integers of [starts[i], starts[i] + lengths[i]) for every i, one range after another."""
    total = int(lengths.sum())
    before = np.cumsum(lengths) - lengths
    return np.arange(total) + np.repeat(starts - before, lengths)


def first_argmax(key: NDArray, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each run (non-empty, beginning at `starts`) the index of its largest key; the first on ties."""
    if len(starts) == 0:
        return np.zeros(0, dtype=np.int64)
    largest = np.repeat(np.maximum.reduceat(key, starts), run_lengths(starts, len(key)))
    hits = np.flatnonzero(key == largest)
    run = np.repeat(np.arange(len(starts)), run_lengths(starts, len(key)))[hits]
    return hits[run_starts(run)]


def argsort_within(segment: NDArray[np.int64], *keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Order of rows by segment (≥ 0), then by the unsigned 64-bit keys in turn, then by input order: exact.

    A sort of one packed integer (segment, then as many bits of the keys as fit) is many times as fast as np.lexsort;
    only rows whose packed integers tie are looked at again.
    """
    if len(segment) == 0:
        return np.zeros(0, dtype=np.int64)
    packed = segment.astype(np.uint64)
    n_free = 64 - int(packed.max()).bit_length()
    is_whole = True
    for key in keys:
        width = int(key.max()).bit_length()
        used = min(width, n_free)
        packed = (packed << np.uint64(used)) | (key >> np.uint64(width - used))
        n_free -= used
        if used < width:
            is_whole = False
            break
    order = np.argsort(packed, kind="stable")  # rows come nearly sorted by segment, which a merge sort turns to account
    return order if is_whole else _untie(order, packed, keys)


def _untie(order: NDArray[np.int64], packed: NDArray[np.uint64], keys: tuple[NDArray, ...]) -> NDArray[np.int64]:
    """Put rows whose packed integers are equal in the order of their full keys."""
    ordered = packed[order]
    equal = ordered[1:] == ordered[:-1]
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    at = np.flatnonzero(tied)
    rows = order[at]
    order[at] = rows[np.lexsort((*(key[rows] for key in reversed(keys)), packed[rows]))]
    return order


def descending(value: NDArray) -> NDArray[np.uint64]:
    """Keys for `argsort_within` that put the largest of some integers ≥ 0 first."""
    wide = value.astype(np.int64)
    return (wide.max(initial=0) - wide).astype(np.uint64)


def scatter_rows(segment: NDArray[np.int64], row: NDArray[np.int64], values: NDArray, out: NDArray) -> None:
    """Write values[i] to out[segment[i], row[i]], leaving out rows that lie beyond the table's width."""
    fits = row < out.shape[1]
    out[segment[fits], row[fits]] = values[fits]
