"""Exact histograms in fixed bins cut by the bits of a float, so that any two parts of a corpus add up.

Bins are quarter octaves: an octave [2^e, 2^(e+1)) has the edges 2^e · (1, 1.25, 1.5, 1.75). They run from 2^-16 to
2^16, with one bin below ([0, 2^-16)) and one above. Negative values have mirrored bins of their own, so N_BINS = 260
in ascending order: bin b holds EDGES[b] ≤ a < EDGES[b + 1] for b ≥ 130 and EDGES[b] < a ≤ EDGES[b + 1] below. The
outermost edges are the largest finite float32, which keeps them finite in JSON.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.aggregate import Chunk

FIRST_OCTAVE = -16
LAST_OCTAVE = 15
N_INNER = 4 * (LAST_OCTAVE - FIRST_OCTAVE + 1)
N_SIDE = N_INNER + 2
N_BINS = 2 * N_SIDE

OCTAVES = np.arange(FIRST_OCTAVE - 1, LAST_OCTAVE + 2)
"""The octave of each column of a peak histogram; the first holds all smaller peaks, the last all larger ones."""
N_OCTAVES = len(OCTAVES)

_SIDE_EDGES = np.concatenate(
    [
        [0.0],
        np.ldexp(1 + np.arange(N_INNER) % 4 / 4, FIRST_OCTAVE + np.arange(N_INNER) // 4),
        [2.0 ** (LAST_OCTAVE + 1), float(np.finfo(np.float32).max)],
    ]
)
EDGES: NDArray[np.float64] = np.concatenate([-_SIDE_EDGES[:0:-1], _SIDE_EDGES])
"""The 261 edges of the 260 bins, ascending."""

_QUARTER_SHIFT = 21  # a float32 has 23 mantissa bits; the upper two cut the octave in four
_FIRST_QUARTER = (127 + FIRST_OCTAVE) * 4


def value_bins(value: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bin of each value (not NaN), 0 … N_BINS − 1, by its bits alone."""
    bits = np.ascontiguousarray(value, dtype=np.float32).view(np.uint32)
    quarter = ((bits & np.uint32(0x7FFFFFFF)) >> np.uint32(_QUARTER_SHIFT)).astype(np.int64)
    side = np.clip(quarter - (_FIRST_QUARTER - 1), 0, N_SIDE - 1)
    return np.where(bits >> np.uint32(31), N_SIDE - 1 - side, N_SIDE + side)


def octave_columns(peak: NDArray[np.float32]) -> NDArray[np.int64]:
    """The column of `OCTAVES` that holds each peak's magnitude, 0 … N_OCTAVES − 1."""
    bits = np.ascontiguousarray(peak, dtype=np.float32).view(np.uint32)
    exponent = ((bits & np.uint32(0x7FFFFFFF)) >> np.uint32(23)).astype(np.int64) - 127
    return np.clip(exponent - (FIRST_OCTAVE - 1), 0, N_OCTAVES - 1)


@dataclass(frozen=True)
class HistogramResult:
    """Events by value [n, N_BINS]; contexts by split and octave of the peak [n, 2, N_OCTAVES]."""

    events: NDArray[np.int64]
    peaks: NDArray[np.int64]


class Histograms:
    """Folds both histograms of n features."""

    def __init__(self, n_features: int) -> None:
        self._events = np.zeros((n_features, N_BINS), dtype=np.int64)
        self._peaks = np.zeros((n_features, 2, N_OCTAVES), dtype=np.int64)

    def add(self, chunk: Chunk) -> None:
        """Fold one chunk in."""
        at = chunk.feature * N_BINS + value_bins(chunk.value)
        self._events += np.bincount(at, minlength=self._events.size).reshape(self._events.shape)
        row = chunk.group_feature * 2 + chunk.group_split
        at = row * N_OCTAVES + octave_columns(chunk.group_peak)
        self._peaks += np.bincount(at, minlength=self._peaks.size).reshape(self._peaks.shape)

    def result(self) -> HistogramResult:
        """The histograms so far."""
        return HistogramResult(self._events.copy(), self._peaks.copy())


def trim_histogram(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """`edges` and `counts` of one feature [N_BINS] without the empty bins at both ends; both empty if nothing fired."""
    filled = np.flatnonzero(counts)
    if len(filled) == 0:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    first, last = int(filled[0]), int(filled[-1])
    return EDGES[first : last + 2].copy(), counts[first : last + 1].copy()


@dataclass(frozen=True)
class Quantile:
    """A quantile known to lie in [low, high]; `value` is the middle, so its error is at most (high − low) / 2."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def find_quantile(counts: NDArray[np.int64], q: float) -> Quantile:
    """The q-quantile (0 < q ≤ 1) of the events of n features [n, N_BINS]: NaN where a feature has none.

    Defined as the ⌈q·n⌉-th smallest value (NumPy's `inverted_cdf`). It lies in the bin that is returned, exactly;
    inside the quarter octaves the middle is off by at most 12.5 % of the value.
    """
    total = counts.sum(axis=1)
    wanted = np.ceil(q * total)
    at = (np.cumsum(counts, axis=1) < wanted[:, None]).sum(axis=1)
    low = np.where(total > 0, EDGES[np.minimum(at, N_BINS - 1)], np.nan)
    high = np.where(total > 0, EDGES[np.minimum(at, N_BINS - 1) + 1], np.nan)
    return Quantile((low + high) / 2, low, high)
