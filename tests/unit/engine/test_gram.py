from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from featlas.engine.gram import HAS_MKL, Events, UnitEvents


def events_of(values: NDArray, ranks: NDArray) -> Events:
    row, column = np.nonzero(values)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(values)))])
    return Events(
        indptr, column.astype(np.int32), values[row, column].astype(np.float32), ranks[row, column].astype(np.int32)
    )


@pytest.mark.parametrize("with_mkl", sorted({HAS_MKL, False}))
@pytest.mark.parametrize("cuts", [[0, 30], [0, 7, 29, 30]])
def test_sums_over_any_stretches_are_the_dense_products(with_mkl: bool, cuts: list[int]):
    chance = np.random.default_rng(3)
    values = np.where(chance.random((30, 12)) < 0.3, chance.normal(size=(30, 12)), 0).astype(np.float32)
    values[:, 4] = 0
    ranks = np.where(values != 0, chance.integers(-2_000_000, 2_000_000, values.shape), 0)
    sums = tuple(np.full((5, 12), np.nan) for _ in range(3))
    for first, end in pairwise(cuts):
        units = UnitEvents(events_of(values[first:end], ranks[first:end]), 12, with_mkl=with_mkl)
        features = events_of(values[first:end, 2:7].T, ranks[first:end, 2:7].T)
        units.add_products(sums, features, is_first=first == 0)
    wide, wide_ranks, fires = values.astype(np.float64), ranks.astype(np.float64), (values != 0).astype(np.float64)
    for expected, found in zip((wide, wide_ranks, fires), sums, strict=True):
        np.testing.assert_allclose(expected[:, 2:7].T @ expected, found, rtol=1e-12, atol=1e-12)
