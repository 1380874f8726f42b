"""Finds features that fire at exactly the same positions, so that one meaning is not labeled and counted twice."""

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.hashing import splitmix64


class FiringHashes:
    """Folds a 64-bit hash of the set of slots at which each of n features fires.

    The hash is the sum modulo 2^64 of a hash of each slot, so it does not depend on the order or on any cut.
    """

    def __init__(self, n_features: int) -> None:
        self._hash = np.zeros(n_features, dtype=np.uint64)

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        up_to = np.zeros(len(chunk.events.slot) + 1, dtype=np.uint64)
        np.cumsum(splitmix64(chunk.events.slot.astype(np.uint64)), out=up_to[1:])  # wraps around, as it shall
        indptr = chunk.events.indptr
        self._hash += up_to[indptr[1:]] - up_to[indptr[:-1]]

    def result(self) -> NDArray[np.uint64]:
        """The hash of each feature, 0 where it never fires. Shape [n]."""
        return self._hash.copy()


def find_duplicates(firing_hash: NDArray[np.uint64], n_fires: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each feature the lowest index of a feature with the same firings; −1 for that one itself and for the rest.

    Equal hash and equal n_fires count as the same firings (different ones agree with probability of about 2^-64). A
    feature that never fires is no duplicate. Shapes [n].
    """
    out = np.full(len(n_fires), -1, dtype=np.int64)
    live = np.flatnonzero(n_fires > 0)
    order = live[np.lexsort((live, n_fires[live], firing_hash[live]))]
    same = (firing_hash[order[1:]] == firing_hash[order[:-1]]) & (n_fires[order[1:]] == n_fires[order[:-1]])
    start = np.concatenate([[True], ~same])[: len(order)]
    original = order[np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))]
    out[order[~start]] = original[~start]
    return out
