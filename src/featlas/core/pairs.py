"""A second reading of the events for chosen (feature, context) pairs: what fired there, if anything.

A pair is the integer local feature · n_contexts + context index.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.segments import concat_ranges, run_starts


def pair_ids(feature: NDArray[np.int64], context: NDArray, n_contexts: int) -> NDArray[np.int64]:
    """The pair of each (local feature, context index)."""
    return feature * n_contexts + context.astype(np.int64)


def find_sorted(ascending: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each wanted integer is among the ascending ones, and the place of those that are."""
    at = np.searchsorted(ascending, wanted)
    is_found = at < len(ascending)
    is_found[is_found] = ascending[at[is_found]] == wanted[is_found]
    return is_found, at[is_found]


@dataclass(frozen=True)
class PairEventRows:
    """Events of ascending pairs: pair i has position and value `[indptr[i]:indptr[i + 1]]`, positions ascending."""

    pair: NDArray[np.int64]
    indptr: NDArray[np.int64]
    position: NDArray[np.uint16]
    value: NDArray[np.float32]


class PairEvents:
    """Folds the events of the given pairs (ascending, distinct)."""

    def __init__(self, pair: NDArray[np.int64]) -> None:
        self._pair = pair
        self._n_events = np.zeros(len(pair), dtype=np.int64)
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.float32]]] = []

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in; a context lies in one chunk, so a pair's events come all at once."""
        group = pair_ids(chunk.group_feature, chunk.group_context, chunk.corpus.n_contexts)
        is_chosen, at = find_sorted(self._pair, group)
        n_events = chunk.group_n_events[is_chosen]
        events = concat_ranges(chunk.group_start[is_chosen], n_events)
        self._n_events[at] = n_events
        self._parts.append((at, chunk.position[events].astype(np.uint16), chunk.value[events]))

    def result(self) -> PairEventRows:
        """The events so far; a pair without events has an empty range."""
        indptr = np.concatenate([[0], np.cumsum(self._n_events)])
        position = np.zeros(indptr[-1], dtype=np.uint16)
        value = np.zeros(indptr[-1], dtype=np.float32)
        for at, part_position, part_value in self._parts:
            to = concat_ranges(indptr[at], self._n_events[at])
            position[to] = part_position
            value[to] = part_value
        return PairEventRows(self._pair, indptr, position, value)


class PairFires:
    """Folds whether each of the given pairs (any order, repeats allowed) has an event."""

    def __init__(self, pair: NDArray[np.int64]) -> None:
        self._order = np.argsort(pair, kind="stable")
        self._starts = run_starts(pair[self._order])
        self._distinct = pair[self._order][self._starts]
        self._fires = np.zeros(len(self._distinct), dtype=bool)

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        group = pair_ids(chunk.group_feature, chunk.group_context, chunk.corpus.n_contexts)
        _, at = find_sorted(self._distinct, group)
        self._fires[at] = True

    def result(self) -> NDArray[np.bool_]:
        """Whether each given pair has an event, in the order given."""
        n_repeats = np.diff(self._starts, append=len(self._order))
        out = np.zeros(len(self._order), dtype=bool)
        out[self._order] = np.repeat(self._fires, n_repeats)
        return out
