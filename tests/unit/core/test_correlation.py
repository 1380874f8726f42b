import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from tests.oracles.correlation import correlate_pair, to_columns

from featlas.core.correlation import correlate
from featlas.domain import Measure, NoMeasure

N_UNITS, K = 400, 200
DEAD, CONSTANT, ALWAYS, RARE, NEGATIVE, TWIN, OTHER_TWIN = range(7)


@pytest.fixture(scope="module")
def dense() -> NDArray[np.float32]:
    """Columns of every frequency; values in tenths, so that many tie; some below zero."""
    chance = np.random.default_rng(5)
    fires = chance.random((N_UNITS, K)) < chance.random(K) ** 2
    dense = np.where(fires, np.round(chance.normal(1, 1, (N_UNITS, K)), 1), 0).astype(np.float32)
    dense[:, DEAD] = 0
    dense[:, CONSTANT] = 2.5
    dense[:, ALWAYS] = np.round(chance.random(N_UNITS), 1) + 1
    dense[:, RARE] = 0
    dense[3, RARE] = 1
    dense[:, NEGATIVE] = -np.abs(dense[:, NEGATIVE])
    dense[:, OTHER_TWIN] = dense[:, TWIN]
    return dense


@pytest.mark.parametrize("measure", Measure)
def test_pairs_are_what_scipy_says_of_dense_columns(measure: Measure, dense: NDArray):
    found = correlate(to_columns(dense), N_UNITS, measure)
    pairs = [(f, (f * 7 + 3) % K) for f in range(K)] + [(f, g) for f in range(12) for g in range(12)]
    expected = [correlate_pair(measure, dense[:, f], dense[:, g]) for f, g in pairs]
    np.testing.assert_allclose(expected, [found.value[pair] for pair in pairs], rtol=0, atol=1e-9)
    np.testing.assert_array_equal((dense != 0).T.astype(int) @ (dense != 0).astype(int), found.n_both)
    np.testing.assert_array_equal(found.value, found.value.T)


def test_a_feature_goes_with_itself_and_a_twin_entirely(dense: NDArray):
    for measure in Measure:
        value = correlate(to_columns(dense), N_UNITS, measure).value
        assert value[TWIN, TWIN] == 1
        assert value[TWIN, OTHER_TWIN] == pytest.approx(1, abs=1e-12)


def test_what_never_fires_or_never_varies_has_none_and_says_why(dense: NDArray):
    for measure in Measure:
        found = correlate(to_columns(dense), N_UNITS, measure)
        has_none = measure in (Measure.PEARSON, Measure.SPEARMAN)
        assert found.reasons[:3] == (NoMeasure.DEAD, NoMeasure.CONSTANT if has_none else None, None)
        assert np.isnan(found.value[DEAD]).all()
        assert np.isnan(found.value[CONSTANT, ALWAYS]) == has_none


def test_ranks_among_common_units_are_compared_for_spearman_only(dense: NDArray):
    found = correlate(to_columns(dense), N_UNITS, Measure.SPEARMAN)
    assert found.among_both is not None
    both = (dense[:, 10] != 0) & (dense[:, 11] != 0)
    assert both.sum() >= 5
    assert found.among_both[10, 11] == pytest.approx(stats.spearmanr(dense[both, 10], dense[both, 11])[0], abs=1e-12)
    assert np.isnan(found.among_both[RARE, ALWAYS])
    assert np.isnan(found.among_both[CONSTANT, ALWAYS])
    assert correlate(to_columns(dense), N_UNITS, Measure.PEARSON).among_both is None


def test_nothing_fires_at_all():
    found = correlate(to_columns(np.zeros((9, 2))), 9, Measure.SPEARMAN)
    assert np.isnan(found.value).all()
    assert found.reasons == (NoMeasure.DEAD, NoMeasure.DEAD)
