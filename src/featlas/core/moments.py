"""Counts, sums and maxima of every feature, and the frequencies, means and deviations that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk
from featlas.core.segments import first_argmax, run_starts
from featlas.domain import N_GROUPS, Split


@dataclass(frozen=True)
class MomentsResult:
    """Counts and sums of n features over their events; `max` is NaN where a feature has none.

    `group_n_fires` and `group_sum` are the shares of the 16 document-hash groups. Shape [n, 16].
    """

    n_fires: NDArray[np.int64]
    sum: NDArray[np.float64]
    sum_sq: NDArray[np.float64]
    max: NDArray[np.float32]
    n_contexts_fired: NDArray[np.int64]
    n_documents_fired: NDArray[np.int64]
    group_n_fires: NDArray[np.int64]
    group_sum: NDArray[np.float64]


class Moments:
    """Folds the counts, sums and maxima of n features."""

    def __init__(self, n_features: int) -> None:
        self._n_fires = np.zeros(n_features, dtype=np.int64)
        self._sum_sq = np.zeros(n_features)
        self._max = np.zeros(n_features, dtype=np.float32)
        self._n_contexts = np.zeros(n_features, dtype=np.int64)
        self._n_documents = np.zeros(n_features, dtype=np.int64)
        self._last_document = np.full((n_features, len(Split)), -1, dtype=np.int64)
        self._group_n_fires = np.zeros((n_features, N_GROUPS), dtype=np.int64)
        self._group_sum = np.zeros((n_features, N_GROUPS))

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in; chunks come in slot order, so a document may go on from the chunk before."""
        n = chunk.n_features
        value = chunk.value.astype(np.float64)
        self._n_fires += np.diff(chunk.events.indptr)
        self._sum_sq += np.bincount(chunk.feature, weights=value * value, minlength=n)
        self._n_contexts += np.bincount(chunk.group_feature, minlength=n)
        group = self._group_of_events(chunk)
        shape = (n, N_GROUPS)
        self._group_n_fires += np.bincount(group, minlength=n * N_GROUPS).reshape(shape)
        self._group_sum += np.bincount(group, weights=value, minlength=n * N_GROUPS).reshape(shape)
        self._add_documents(chunk)
        self._add_max(chunk)

    @staticmethod
    def _group_of_events(chunk: Chunk) -> NDArray[np.int64]:
        group = chunk.corpus.document_group[chunk.group_document]
        return np.repeat(chunk.group_feature * N_GROUPS + group, chunk.group_n_events)

    def _add_documents(self, chunk: Chunk) -> None:
        # Within a split a document's contexts follow each other, also where two packed streams take turns.
        for split in Split:
            at = np.flatnonzero(chunk.group_split == split)
            first = at[run_starts(chunk.group_feature[at], chunk.group_document[at])]
            feature, document = chunk.group_feature[first], chunk.group_document[first]
            is_new = document != self._last_document[feature, split]
            self._n_documents += np.bincount(feature[is_new], minlength=chunk.n_features)
            self._last_document[feature, split] = document  # the last write of a feature is its last document

    def _add_max(self, chunk: Chunk) -> None:
        starts = run_starts(chunk.group_feature)
        best = chunk.group_peak[first_argmax(np.abs(chunk.group_peak), starts)]
        feature = chunk.group_feature[starts]
        is_larger = np.abs(best) > np.abs(self._max[feature])
        self._max[feature[is_larger]] = best[is_larger]

    def result(self) -> MomentsResult:
        """The moments so far; Σa is the sum of its 16 group shares."""
        return MomentsResult(
            n_fires=self._n_fires.copy(),
            sum=self._group_sum.sum(axis=1),
            sum_sq=self._sum_sq.copy(),
            max=np.where(self._n_fires > 0, self._max, np.float32("nan")),
            n_contexts_fired=self._n_contexts.copy(),
            n_documents_fired=self._n_documents.copy(),
            group_n_fires=self._group_n_fires.copy(),
            group_sum=self._group_sum.copy(),
        )


def share(part: NDArray[np.int64], whole: int) -> NDArray[np.float64]:
    """part / whole; NaN where the whole is 0."""
    return part / whole if whole > 0 else np.full(len(part), np.nan)


def mean_over_events(n_fires: NDArray[np.int64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σa / n_fires; NaN where a feature has no event."""
    return np.where(n_fires > 0, total / np.maximum(n_fires, 1), np.nan)


def std_over_events(
    n_fires: NDArray[np.int64], total: NDArray[np.float64], sum_sq: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Standard deviation over events with ddof = 1: 0 for one event, NaN for none.

    From Σa and Σa² in float64: the absolute error is below 1e-7 of the root mean square for up to 10 million events.
    """
    squares = np.maximum(sum_sq - total * total / np.maximum(n_fires, 1), 0.0)
    std = np.sqrt(squares / np.maximum(n_fires - 1, 1))
    return np.where(n_fires > 1, std, np.where(n_fires == 1, 0.0, np.nan))
