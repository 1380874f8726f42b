"""The features that go together with a feature most surely, and those that avoid it: the best few of all pairs.

A pair is ranked by the end of its interval that is nearer to none (docs/statistics.md): a strong measure that rests on
five units does not come before one that rests on thousands. Equal bounds are ordered by feature_index.
"""

import numpy as np
from numpy.typing import NDArray

from featlas.core.correlation import MIN_BOTH, Features, GramTile, measure_pairs, pair_trials
from featlas.core.intervals import score_low
from featlas.domain import Measure, PartnerLists

NEAR_DUPLICATE = 0.99
"""From this Pearson correlation on two features are taken for one, provided that the bound is NEAR_DUPLICATE_LOW."""

NEAR_DUPLICATE_LOW = 0.9


def choose_partners(gram: GramTile, first: int, features: Features, n_partners: int) -> dict[Measure, PartnerLists]:
    """By every measure, the partners of the features first … first + t − 1, whose sums are `gram` [t, k].

    At most n_partners that go together, and as many that avoid each other. Near-duplicates are told by Pearson only.
    """
    n = len(gram.both)
    rows = features.take(slice(first, first + n))
    n_fires = features.values.n_fires
    is_seen = gram.both >= MIN_BOTH
    is_expected = np.multiply.outer(rows.values.n_fires, n_fires / max(features.n_units, 1)) >= MIN_BOTH
    return {
        measure: _choose(measure, gram, (rows, features), (is_seen, is_expected), n_partners) for measure in Measure
    }


def _choose(
    measure: Measure,
    gram: GramTile,
    sides: tuple[Features, Features],
    may_be: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    n_partners: int,
) -> PartnerLists:
    """The lists of one measure; `may_be` [t, k] says which pairs may go together, and which may avoid each other."""
    rows, features = sides
    n, first = len(gram.both), rows.first
    value = measure_pairs(measure, gram, rows, features)
    value[np.arange(n), first + np.arange(n)] = np.nan  # nobody is its own partner
    low = score_low(np.abs(value), pair_trials(measure, gram, rows, features))
    chosen = [_best(low, (value > 0) & may_be[0], n_partners)]
    is_below = value < 0
    if is_below.any():
        chosen.append(_best(low, is_below & may_be[1], n_partners))
    row = np.concatenate([found[0] for found in chosen])
    partner = np.concatenate([found[1] for found in chosen])
    order = np.argsort(row, kind="stable")
    row, partner = row[order], partner[order]
    return PartnerLists(
        indptr=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]),
        partner=partner.astype(np.uint32),
        value=value[row, partner].astype(np.float32),
        low=np.copysign(low[row, partner], value[row, partner]).astype(np.float32),
        n_both=gram.both[row, partner].astype(np.uint32),
        near_duplicate_of=_near_duplicates(measure, value, low, first),
        reasons=rows.reasons(measure),
    )


def _near_duplicates(
    measure: Measure, value: NDArray[np.float64], low: NDArray[np.float64], first: int
) -> NDArray[np.int64]:
    """The lowest index below a feature's own of one that is nearly the same; −1 for none. Shape [t]."""
    own = first + np.arange(len(value))
    if measure is not Measure.PEARSON:
        return np.full(len(value), -1)
    is_near = (value >= NEAR_DUPLICATE) & (low >= NEAR_DUPLICATE_LOW)
    lowest = np.where(is_near.any(axis=1), is_near.argmax(axis=1), -1)
    return np.where(lowest < own, lowest, -1)


def _best(
    low: NDArray[np.float64], is_allowed: NDArray[np.bool_], n_best: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, column) of the n_best largest bounds of each row among the allowed ones, by row, largest first.

    Bounds are compared as they are stored, in float32; equal ones by column. Both are packed into one integer, so that
    what is chosen at the edge of a list does not depend on how it was searched.
    """
    n, k = low.shape
    n_best = min(n_best, k)
    key = (low.astype(np.float32) * is_allowed).view(np.uint32).astype(np.uint64)
    key <<= np.uint64(32)
    key |= np.arange(k, dtype=np.uint64)[::-1]
    best = np.partition(key, k - n_best, axis=1)[:, k - n_best :]
    best.sort(axis=1)
    best = best[:, ::-1]
    column = k - 1 - (best & np.uint64(0xFFFFFFFF)).astype(np.int64)
    row = np.repeat(np.arange(n), n_best).reshape(n, n_best)
    is_one = is_allowed[row, column]
    return row[is_one], column[is_one]
