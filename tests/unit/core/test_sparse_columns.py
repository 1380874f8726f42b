import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats
from tests.oracles.correlation import to_columns

from featlas.core.sparse_columns import (
    SparseColumns,
    column_moments,
    join_columns,
    join_moments,
    pool_contexts,
    rank_twice,
)

DENSE = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.0, -1.0, -0.5]),
)


@given(DENSE)
def test_ranks_are_scipys_less_the_rank_of_the_zeros(dense: NDArray):
    columns = to_columns(dense)
    ranks = rank_twice(columns, len(dense))
    assert ranks.dtype == np.int32
    for feature in range(columns.n_features):
        with_a_zero = np.append(dense[:, feature], 0)  # so that there is a rank of the zeros
        expected = 2 * stats.rankdata(with_a_zero)
        here = slice(columns.indptr[feature], columns.indptr[feature + 1])
        own = rank_twice(to_columns(with_a_zero[:, None]), len(with_a_zero))
        np.testing.assert_array_equal((expected - expected[-1])[columns.row[here]], own)
        # Ranks of fewer zeros are a shift of each sign's, and of one sign they differ by the same.
        np.testing.assert_array_equal(np.argsort(own, kind="stable"), np.argsort(ranks[here], kind="stable"))


@given(DENSE, st.integers(0, 12))
def test_any_cut_of_the_units_gives_the_same_columns_and_moments(dense: NDArray, cut: int):
    top, rest = to_columns(dense[:cut]), to_columns(dense[cut:])
    joined = join_columns([top, SparseColumns(rest.indptr, rest.row + min(cut, len(dense)), rest.value)])
    whole = to_columns(dense)
    for name in ("indptr", "row", "value"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(joined, name))


@given(DENSE)
def test_moments_are_those_of_dense_columns_in_any_ranges(dense: NDArray):
    n = len(dense)
    columns = to_columns(dense)
    found = column_moments(columns.indptr, columns.value, n)
    parts = [to_columns(dense[:, [feature]]) for feature in range(dense.shape[1])]
    joined = join_moments([column_moments(part.indptr, part.value, n) for part in parts])
    for name, values in vars(found).items():
        np.testing.assert_array_equal(values, getattr(joined, name))
    x = dense.astype(np.float64)
    np.testing.assert_array_equal((x != 0).sum(0), found.n_fires)
    np.testing.assert_array_equal(x.min(0) == x.max(0), found.is_constant)
    np.testing.assert_allclose(x.sum(0), found.total, atol=1e-12)
    np.testing.assert_allclose((x**2).sum(0), found.square, atol=1e-12)
    varies = ~found.is_constant
    deviation = (x - x.mean(0))[:, varies]
    np.testing.assert_allclose((deviation**2).sum(0), found.spread[varies], rtol=1e-9)
    np.testing.assert_allclose(
        (deviation**2).sum(0) ** 2 / (deviation**4).sum(0), found.spread_trials[varies], rtol=1e-9
    )
    assert np.isnan(found.spread[~varies]).all()


@given(DENSE, st.data())
def test_the_strongest_value_of_each_context_stays_with_its_sign(dense: NDArray, chance: st.DataObject):
    n = len(dense)
    context = np.sort(np.array(chance.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))))
    pooled = pool_contexts(to_columns(dense), context)
    expected = np.zeros((4, dense.shape[1]), dtype=np.float32)
    for at in np.unique(context):
        here = dense[context == at]
        strongest = np.abs(here).argmax(0)
        expected[at] = here[strongest, np.arange(dense.shape[1])]
    whole = to_columns(expected)
    for name in ("indptr", "row", "value"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pooled, name))


def test_a_dense_feature_is_ranked_the_slow_way_too():
    chance = np.random.default_rng(0)
    many = 1 << 12
    dense = np.zeros((4, many), dtype=np.float32)  # so many features that a place does not fit beside value and feature
    dense[:, :] = chance.integers(-2, 3, dense.shape)
    columns = to_columns(dense)
    assert int(many - 1).bit_length() + 32 + (len(columns.row) - 1).bit_length() <= 64
    wide = SparseColumns(
        np.concatenate([np.zeros(1 << 19, dtype=np.int64), columns.indptr]), columns.row, columns.value
    )
    np.testing.assert_array_equal(rank_twice(columns, 4), rank_twice(wide, 4))
