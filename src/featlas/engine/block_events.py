"""Puts the events of a block, which come batch by batch, in the order of the feature matrix: by feature, then slot."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.engine.events import Events
from featlas.engine.kernels import turn_over


@dataclass(frozen=True)
class SortedEvents:
    """The events of a block: those at wanted slots, and of the others how many each feature has and the largest.

    Feature f has `slot` and `value` `[indptr[f]:indptr[f + 1]]`, slots ascending. `excluded_feature` ascends and names
    the features that have events elsewhere.
    """

    indptr: NDArray[np.int64]  # [n_features + 1]
    slot: NDArray[np.uint16]  # [n_events]
    value: NDArray[np.float32]  # [n_events]
    excluded_feature: NDArray[np.int64]  # [n]
    excluded_n: NDArray[np.int64]  # [n]
    excluded_max: NDArray[np.float32]  # [n]


class BlockEvents:
    """Collects the events of a block of at most 65,536 slots, no two batches of which share a slot."""

    def __init__(self, n_features: int, n_slots: int) -> None:
        self._n_features, self._n_slots = n_features, n_slots
        self._parts: list[tuple[Events, int, NDArray[np.int64]]] = []

    def add(self, events: Events, slot: NDArray[np.int64], first_feature: int = 0) -> None:
        """Add a batch's events of the features from `first_feature` on; `slot` [n_rows] is where each row lies.

        Of a batch with several ranges of features, the lower range comes first.
        """
        self._parts.append((events, first_feature, slot[events.row]))

    def take_sorted(self, is_wanted: NDArray[np.bool_]) -> SortedEvents:
        """All events in order, held here no longer. `is_wanted` [n_slots] says where they count."""
        starts, feature, value = self._by_slot()
        n_here = np.diff(starts)
        counts = np.repeat(is_wanted, n_here)
        n_fires = np.bincount(feature[counts], minlength=self._n_features)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_fires)])
        slot, sorted_value = np.empty(indptr[-1], np.uint16), np.empty(indptr[-1], np.float32)
        turn_over(starts, is_wanted, feature, value, indptr[:-1].copy(), slot, sorted_value)
        others = feature[~counts]
        excluded_n = np.bincount(others, minlength=self._n_features)
        largest = np.zeros(self._n_features, np.float32)
        np.maximum.at(largest, others, value[~counts])
        excluded = np.flatnonzero(excluded_n)
        return SortedEvents(indptr, slot, sorted_value, excluded, excluded_n[excluded], largest[excluded])

    def _by_slot(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Where each slot's events begin [n_slots + 1]; feature and value of all events, slot by slot."""
        n_here = np.zeros(self._n_slots, np.int64)
        for _, _, slot in self._parts:
            n_here += np.bincount(slot, minlength=self._n_slots)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_here)])
        feature, value = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
        next_place = starts[:-1].copy()
        for events, first_feature, slot in self._parts:
            every = np.ones(first_feature + len(events.indptr) - 1, dtype=bool)
            line_start = np.concatenate([np.zeros(first_feature, np.int64), events.indptr])
            turn_over(line_start, every, slot, events.value, next_place, feature, value)
        self._parts.clear()
        return starts, feature, value
