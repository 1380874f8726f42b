"""What features do over all tokens (or contexts) of a run, as sparse columns: the numbers that correlations rest on.

A *unit* is what is counted: a token at a counted position, or a context. Units at which a feature does not fire hold
zero and are not kept; there are `n_units` in all, so every sum over units is exact without them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.core.segments import argsort_within, first_argmax, run_lengths, run_starts

_KEY_BITS = 32


@dataclass(frozen=True)
class SparseColumns:
    """k features; feature f has the events `[indptr[f]:indptr[f + 1]]`, rows ascending, values never zero.

    A row is the number of a unit: a slot or a context.
    """

    indptr: NDArray[np.int64]  # [k + 1]
    row: NDArray[np.int64]  # [nnz]
    value: NDArray[np.float32]  # [nnz]

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.indptr) - 1

    def feature(self) -> NDArray[np.int64]:
        """The number 0 … k − 1 of each event's feature. Shape [nnz]."""
        return np.repeat(np.arange(self.n_features), np.diff(self.indptr))


def join_columns(parts: list[SparseColumns]) -> SparseColumns:
    """The same features over several stretches of rows, in the order of the rows, as one."""
    if len(parts) == 1:
        return parts[0]
    counts = np.stack([np.diff(part.indptr) for part in parts])  # [n_parts, k]
    order = np.argsort(np.concatenate([part.feature() for part in parts]), kind="stable")
    return SparseColumns(
        np.concatenate([[0], np.cumsum(counts.sum(axis=0))]),
        np.concatenate([part.row for part in parts])[order],
        np.concatenate([part.value for part in parts])[order],
    )


def pool_contexts(columns: SparseColumns, context_of_row: NDArray[np.integer]) -> SparseColumns:
    """One event per feature and context: the value of largest magnitude, sign kept, the first of equal ones.

    `context_of_row` says for each row in which context it lies, ascending with the rows. Rows become contexts.
    """
    feature, context = columns.feature(), context_of_row[columns.row].astype(np.int64)
    if len(context) == 0:
        return columns
    starts = run_starts(feature, context)
    peak = first_argmax(np.abs(columns.value), starts)
    n_per_feature = np.bincount(feature[peak], minlength=columns.n_features)
    return SparseColumns(np.concatenate([[0], np.cumsum(n_per_feature)]), context[peak], columns.value[peak])


def rank_twice(columns: SparseColumns, n_units: int) -> NDArray[np.int32]:
    """Twice the rank of each event among all units of its feature, less twice the rank of the zeros. Shape [nnz].

    Equal values share the mean of their ranks, zeros included; twice a mean of whole numbers is whole, so nothing is
    rounded. Units at which the feature does not fire are 0 on this scale, which leaves correlations of ranks as they
    are: they do not change when all ranks of a feature are shifted.
    """
    feature = columns.feature()
    order = _order_by_value(feature, columns.value)
    value = columns.value[order]
    starts = run_starts(feature[order], value)
    length = run_lengths(starts, len(order))
    place = starts - columns.indptr[feature[order][starts]]  # how many events of the feature are smaller
    twice_mean = 2 * place + length + 1  # of the places place + 1 … place + length
    n_fires = np.diff(columns.indptr)
    n_negative = np.bincount(feature[columns.value < 0], minlength=columns.n_features)
    n_zero = n_units - n_fires
    shift = np.where(value[starts] < 0, -n_zero[feature[order][starts]], n_zero[feature[order][starts]])
    twice = twice_mean + shift - 2 * n_negative[feature[order][starts]] - 1
    out = np.empty(len(order), dtype=np.int32)
    out[order] = np.repeat(twice, length)
    return out


def _order_by_value(feature: NDArray[np.int64], value: NDArray[np.float32]) -> NDArray[np.int64]:
    """Order of the events by feature, then value ascending."""
    bits = value.view(np.uint32)
    # Floats as integers in the same order: negative ones are turned over, positive ones lifted above them.
    key = np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    n_index_bits = max(len(value) - 1, 0).bit_length()
    if int(feature[-1] if len(feature) else 0).bit_length() + _KEY_BITS + n_index_bits > 64:
        return argsort_within(feature, key)
    # Feature, value and place in one integer: a plain sort of it is several times as fast as sorting places.
    packed = (feature.astype(np.uint64) << np.uint64(_KEY_BITS)) | key
    packed = (packed << np.uint64(n_index_bits)) | np.arange(len(value), dtype=np.uint64)
    packed.sort()
    return (packed & np.uint64((1 << n_index_bits) - 1)).astype(np.int64)


@dataclass(frozen=True)
class ColumnMoments:
    """Sums over all n_units units of each of k features, zeros included. Shapes [k].

    `spread` is Σ(x − x̄)². `trials` says on how many units the column's length effectively rests, (Σx²)² / Σx⁴, and
    `spread_trials` the same of x − x̄: as many as units where all contribute alike, about as many as events for a
    feature that fires seldom, and few where few events are much larger than the rest. NaN where there is no length:
    what is constant has no spread.
    """

    n_fires: NDArray[np.int64]
    total: NDArray[np.float64]
    square: NDArray[np.float64]
    spread: NDArray[np.float64]
    trials: NDArray[np.float64]
    spread_trials: NDArray[np.float64]
    is_constant: NDArray[np.bool_]

    def take(self, at: slice) -> "ColumnMoments":
        """Those of some features."""
        return ColumnMoments(**{name: values[at] for name, values in vars(self).items()})


def column_moments(
    indptr: NDArray[np.int64], numbers: NDArray[np.float32] | NDArray[np.int32], n_units: int
) -> ColumnMoments:
    """The moments of columns whose events are `numbers`, summed in float64."""
    x = numbers.astype(np.float64)
    n_fires = np.diff(indptr)
    n_zero = n_units - n_fires
    total, square = _sums(x, indptr), _sums(x * x, indptr)
    mean = total / max(n_units, 1)
    deviation = x - np.repeat(mean, n_fires)
    spread = _sums(deviation**2, indptr) + n_zero * mean**2
    fourth = _sums(deviation**4, indptr) + n_zero * mean**4
    is_same = _is_same(numbers, indptr)
    is_constant = (n_fires == 0) | (is_same & (n_zero == 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        trials = square**2 / _sums(x**4, indptr)
        spread_trials = np.where(is_constant, np.nan, spread**2 / fourth)
    spread = np.where(is_constant, np.nan, spread)
    return ColumnMoments(n_fires, total, square, spread, trials, spread_trials, is_constant)


def join_moments(parts: list[ColumnMoments]) -> ColumnMoments:
    """The moments of several ranges of features as one."""
    return ColumnMoments(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def _sums(x: NDArray[np.float64], indptr: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of each feature's events, each feature's for itself, so that no other one's size rounds it."""
    is_some = np.diff(indptr) > 0
    out = np.zeros(len(is_some))
    if is_some.any():
        out[is_some] = np.add.reduceat(x, indptr[:-1][is_some])
    return out


def _is_same(numbers: NDArray, indptr: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether all events of a feature have one value."""
    is_some = np.diff(indptr) > 0
    out = np.ones(len(is_some), dtype=bool)
    if is_some.any():
        starts = indptr[:-1][is_some]
        out[is_some] = np.maximum.reduceat(numbers, starts) == np.minimum.reduceat(numbers, starts)
    return out
