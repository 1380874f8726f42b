"""Keeps the k smallest ranks of many lists at once, exactly, in memory that does not grow with what was seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.segments import argsort_within, rank_in_run, run_starts, scatter_rows

_NOTHING = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Rows:
    """Rows that compete for places: the list they belong to, their rank (smaller is better) and their slot.

    `same` says which rows are the same thing (64-bit identities); at most the best of each is listed. None: all differ.
    """

    segment: NDArray[np.int64]
    rank: NDArray[np.uint64]
    slot: NDArray[np.int64]
    same: NDArray[np.uint64] | None = None

    def take(self, index: NDArray) -> "Rows":
        """The chosen rows, by index or mask."""
        same = None if self.same is None else self.same[index]
        return Rows(self.segment[index], self.rank[index], self.slot[index], same)

    def join(self, other: "Rows") -> "Rows":
        """These rows, then the other's."""
        same = None
        if self.same is not None and other.same is not None:
            same = np.concatenate([self.same, other.same])
        return Rows(
            np.concatenate([self.segment, other.segment]),
            np.concatenate([self.rank, other.rank]),
            np.concatenate([self.slot, other.slot]),
            same,
        )


def empty_rows(is_distinct: bool) -> Rows:
    """No rows; with identities if the list is distinct."""
    none = np.zeros(0, dtype=np.int64)
    return Rows(none, none.astype(np.uint64), none, none.astype(np.uint64) if is_distinct else None)


class RankedLists:
    """n_segments lists of at most k rows each: the smallest by (rank, slot), one per identity if `is_distinct`.

    Mergeable because a row that is beaten by k others of its list, each of another identity, can never come back: later
    rows only make those k better.
    """

    def __init__(self, n_segments: int, k: int, *, is_distinct: bool = False) -> None:
        self._k = k
        self._rows = empty_rows(is_distinct)
        self._worst = np.full(n_segments, _NOTHING)

    def may_enter(self, segment: NDArray[np.int64], rank: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which rows are not already beaten by a full list."""
        return rank <= self._worst[segment]

    def add(self, rows: Rows) -> None:
        """Let rows compete; those of a distinct list carry `same`."""
        rows = rows.take(self.may_enter(rows.segment, rows.rank))
        self._rows = self._best(self._rows.join(rows))
        kept = self._rows
        place = rank_in_run(run_starts(kept.segment), len(kept.segment))
        is_last = place == self._k - 1
        self._worst[kept.segment[is_last]] = kept.rank[is_last]

    def _best(self, rows: Rows) -> Rows:
        slot_key = rows.slot.astype(np.uint64)
        if rows.same is not None:
            order = argsort_within(rows.segment, rows.same, rows.rank, slot_key)
            starts = run_starts(rows.segment[order], rows.same[order])
            rows = rows.take(order[starts])
            slot_key = rows.slot.astype(np.uint64)
        order = argsort_within(rows.segment, rows.rank, slot_key)
        place = rank_in_run(run_starts(rows.segment[order]), len(order))
        return rows.take(order[place < self._k])

    def rows(self) -> Rows:
        """The listed rows, sorted by (segment, rank, slot)."""
        return self._rows

    def table(self) -> NDArray[np.int64]:
        """The listed slots, best first. Shape [n_segments, k], −1 where a list is shorter."""
        out = np.full((len(self._worst), self._k), -1, dtype=np.int64)
        rows = self._rows
        scatter_rows(rows.segment, rank_in_run(run_starts(rows.segment), len(rows.slot)), rows.slot, out)
        return out
