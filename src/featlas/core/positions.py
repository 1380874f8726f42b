"""How often a feature fires near the start and deep in a context: events by split and position, in doubling buckets."""

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.domain import Split

N_BUCKETS = 17
"""Buckets 0, 1, 2–3, 4–7, …, 32768–65535: bucket b holds the positions of b binary digits."""

BUCKET_START: NDArray[np.int64] = np.concatenate([[0], 2 ** np.arange(N_BUCKETS - 1)])
"""The first position of each bucket."""


def position_buckets(position: NDArray) -> NDArray[np.int64]:
    """The bucket of each position in a context (0 … 65535)."""
    return np.searchsorted(BUCKET_START, position, side="right").astype(np.int64) - 1


class PositionProfile:
    """Folds the events of n features by split and position bucket."""

    def __init__(self, n_features: int) -> None:
        self._n_fires = np.zeros((n_features, len(Split), N_BUCKETS), dtype=np.int64)

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        bucket_of = position_buckets(np.arange(int(chunk.corpus.context_n.max(initial=0)) + 1))
        split = np.repeat(chunk.group_split, chunk.group_n_events)
        at = (chunk.feature * len(Split) + split) * N_BUCKETS + bucket_of[chunk.position]
        self._n_fires += np.bincount(at, minlength=self._n_fires.size).reshape(self._n_fires.shape)

    def result(self) -> NDArray[np.int64]:
        """n_fires by split and position bucket. Shape [n, 2, N_BUCKETS]."""
        return self._n_fires.copy()
