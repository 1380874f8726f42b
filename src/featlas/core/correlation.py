"""Four measures of how two features go together, from sums over all units at which they fire: exact, in float64.

cosine: of the activations. Pearson: of the activations, zeros included. Spearman: Pearson of the ranks, zeros tied.
Jaccard: units at which both fire, of those at which at least one does. What the sums are taken over, and why a
measure comes with a lower bound, is argued in docs/statistics.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from featlas.core.sparse_columns import ColumnMoments, SparseColumns, column_moments, rank_twice
from featlas.domain import Measure, NoMeasure

MIN_BOTH = 5
"""Below this many common units nothing is said about a pair, unless so many were to be expected by chance."""


@dataclass(frozen=True)
class GramTile:
    """Sums over all units for the features of some rows against all features of some columns. Shapes [t, k].

    `values` is Σ a·b, `ranks` the same of the ranks (`rank_twice`), `both` the number of units at which both fire.
    """

    values: NDArray[np.float64]
    ranks: NDArray[np.float64]
    both: NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """What is known of each feature by itself: moments of its activations and of its ranks, over `n_units`."""

    n_units: int
    values: ColumnMoments
    ranks: ColumnMoments
    first: int = 0  # index of the first of them

    def take(self, at: slice) -> "Features":
        """Those of some features."""
        return Features(self.n_units, self.values.take(at), self.ranks.take(at), self.first + at.start)

    def reasons(self, measure: Measure) -> tuple[NoMeasure | None, ...]:
        """Why each feature has no such correlation, None where it has."""
        needs_spread = measure in (Measure.PEARSON, Measure.SPEARMAN)
        is_dead, is_constant = self.values.n_fires == 0, self.values.is_constant
        return tuple(
            NoMeasure.DEAD if dead else NoMeasure.CONSTANT if constant and needs_spread else None
            for dead, constant in zip(is_dead.tolist(), is_constant.tolist(), strict=True)
        )


def measure_pairs(measure: Measure, gram: GramTile, rows: Features, columns: Features) -> NDArray[np.float64]:
    """The measure of every pair; NaN where one of the two has none. Shape [t, k]."""
    if measure is Measure.JACCARD:
        found = gram.both / pair_trials(measure, gram, rows, columns)
        found[rows.values.n_fires == 0] = np.nan
        found[:, columns.values.n_fires == 0] = np.nan
        return found
    if measure is Measure.COSINE:
        return _divide(gram.values.copy(), rows.values.square, columns.values.square)
    of_ranks = measure is Measure.SPEARMAN
    left, right = (rows.ranks, columns.ranks) if of_ranks else (rows.values, columns.values)
    product = np.multiply.outer(left.total, right.total / rows.n_units)
    np.subtract(gram.ranks if of_ranks else gram.values, product, out=product)
    return _divide(product, left.spread, right.spread)


def _divide(product: NDArray[np.float64], left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The products [t, k], in place, by the lengths of both sides, whose squares are given; NaN where one has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        product *= (1 / np.sqrt(np.where(left > 0, left, np.nan)))[:, None]
        product *= 1 / np.sqrt(np.where(right > 0, right, np.nan))
    return np.clip(product, -1.0, 1.0, out=product)


def pair_trials(measure: Measure, gram: GramTile, rows: Features, columns: Features) -> NDArray[np.float64]:
    """On how many units the measure of each pair effectively rests. Shape [t, k]."""
    if measure is Measure.JACCARD:
        return np.maximum(rows.values.n_fires[:, None] + columns.values.n_fires - gram.both, 1.0)
    if measure is Measure.COSINE:
        left, right = rows.values.trials, columns.values.trials
    elif measure is Measure.PEARSON:
        left, right = rows.values.spread_trials, columns.values.spread_trials
    else:
        left, right = rows.ranks.spread_trials, columns.ranks.spread_trials
    return np.sqrt(left)[:, None] * np.sqrt(right)


@dataclass(frozen=True)
class CorrelationMatrix:
    """The square matrix of k chosen features. `value` is NaN where there is none; `reasons` say why, by feature.

    `n_both` counts the units at which both fire; on the diagonal those at which the feature does. `among_both`, for
    Spearman only, correlates the ranks among those units alone; NaN below MIN_BOTH, and where one of the two is
    constant there.
    """

    value: NDArray[np.float64]  # [k, k]
    n_both: NDArray[np.int64]  # [k, k]
    reasons: tuple[NoMeasure | None, ...]
    among_both: NDArray[np.float64] | None


def correlate(columns: SparseColumns, n_units: int, measure: Measure) -> CorrelationMatrix:
    """The measure of every pair of some features."""
    ranks = rank_twice(columns, n_units)
    features = Features(
        n_units,
        column_moments(columns.indptr, columns.value, n_units),
        column_moments(columns.indptr, ranks, n_units),
    )
    ones = np.ones(len(columns.value))
    gram = GramTile(*(_gram(columns, numbers) for numbers in (columns.value, ranks, ones)))
    value = measure_pairs(measure, gram, features, features)
    value = (value + value.T) / 2
    np.fill_diagonal(value, [np.nan if reason else 1.0 for reason in features.reasons(measure)])
    return CorrelationMatrix(
        value=value,
        n_both=gram.both.astype(np.int64),
        reasons=features.reasons(measure),
        among_both=_among_both(columns) if measure is Measure.SPEARMAN else None,
    )


def _gram(columns: SparseColumns, numbers: NDArray) -> NDArray[np.float64]:
    n_rows = int(columns.row.max(initial=-1)) + 1
    matrix = sparse.csr_array((numbers.astype(np.float64), columns.row, columns.indptr), (columns.n_features, n_rows))
    return (matrix @ matrix.T).toarray()


def _among_both(columns: SparseColumns) -> NDArray[np.float64]:
    """Spearman's correlation of each pair among the units at which both fire."""
    k = columns.n_features
    out = np.full((k, k), np.nan)
    parts = [slice(int(columns.indptr[f]), int(columns.indptr[f + 1])) for f in range(k)]
    for f in range(k):
        for g in range(f, k):
            _, here, there = np.intersect1d(
                columns.row[parts[f]], columns.row[parts[g]], assume_unique=True, return_indices=True
            )
            if len(here) >= MIN_BOTH:
                pair = (columns.value[parts[f]][here], columns.value[parts[g]][there])
                out[f, g] = out[g, f] = _spearman(*pair)
    return out


def _spearman(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two plain columns; NaN where one is constant."""
    n = len(a)
    both = SparseColumns(np.array([0, n, 2 * n]), np.tile(np.arange(n), 2), np.concatenate([a, b]))
    ranks = rank_twice(both, n).astype(np.float64)
    left, right = ranks[:n] - ranks[:n].mean(), ranks[n:] - ranks[n:].mean()
    length = np.sqrt(left @ left) * np.sqrt(right @ right)
    return float(np.clip(left @ right / length, -1.0, 1.0)) if length > 0 else float("nan")
