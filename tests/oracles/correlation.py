"""Correlations of dense columns, pair by pair, as the textbooks have them."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from featlas.core.sparse_columns import SparseColumns
from featlas.domain import Measure

Z = stats.norm.ppf(0.975)


def to_columns(dense: NDArray) -> SparseColumns:
    """The non-zero numbers of `dense` [n_units, k]."""
    feature, row = np.nonzero(dense.T)
    counts = np.bincount(feature, minlength=dense.shape[1])
    value = dense.T[feature, row].astype(np.float32)
    return SparseColumns(np.concatenate([[0], np.cumsum(counts)]), row.astype(np.int64), value)


def correlate_pair(measure: Measure, a: NDArray, b: NDArray) -> float:
    """One number; NaN where there is none."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not a.any() or not b.any():
        return float("nan")
    if measure is Measure.COSINE:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))
    if measure is Measure.JACCARD:
        return float(((a != 0) & (b != 0)).sum() / ((a != 0) | (b != 0)).sum())
    if a.min() == a.max() or b.min() == b.max():
        return float("nan")
    return float((stats.pearsonr if measure is Measure.PEARSON else stats.spearmanr)(a, b)[0])


def _trials(x: NDArray[np.float64]) -> float:
    return float((x @ x) ** 2 / (x**4).sum())


def pair_low(measure: Measure, a: NDArray, b: NDArray) -> float:
    """The end of the interval that is nearer to 0, as a magnitude: Wilson's, by his formula."""
    r = abs(correlate_pair(measure, a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    if measure is Measure.JACCARD:
        n = float(((a != 0) | (b != 0)).sum())
    else:
        if measure is Measure.SPEARMAN:
            a, b = stats.rankdata(a), stats.rankdata(b)
        if measure is not Measure.COSINE:
            a, b = a - a.mean(), b - b.mean()
        n = np.sqrt(_trials(a) * _trials(b))
    centre = r + Z**2 / (2 * n)
    return float((centre - Z * np.sqrt(r * (1 - r) / n + Z**2 / (4 * n**2))) / (1 + Z**2 / n))


def find_partners(measure: Measure, dense: NDArray, feature: int, m: int) -> tuple[list[int], list[int]]:
    """The m best that go together with a feature, and the m best that avoid it."""
    n_units, k = dense.shape
    n_fires = (dense != 0).sum(0)
    together: list[tuple[float, int]] = []
    avoiding: list[tuple[float, int]] = []
    for other in range(k):
        r = correlate_pair(measure, dense[:, feature], dense[:, other])
        if other == feature or np.isnan(r) or r == 0:
            continue
        low = np.float32(pair_low(measure, dense[:, feature], dense[:, other]))
        both = ((dense[:, feature] != 0) & (dense[:, other] != 0)).sum()
        if r > 0 and both >= 5:
            together.append((-low, other))
        if r < 0 and n_fires[feature] * n_fires[other] / n_units >= 5:
            avoiding.append((-low, other))
    return [other for _, other in sorted(together)[:m]], [other for _, other in sorted(avoiding)[:m]]
