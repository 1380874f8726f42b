import numpy as np
import pytest
from numpy.typing import NDArray
from tests.oracles.correlation import correlate_pair, find_partners, pair_low, to_columns

from featlas.core.correlation import Features, GramTile
from featlas.core.partners import NEAR_DUPLICATE, choose_partners
from featlas.core.sparse_columns import column_moments, rank_twice
from featlas.domain import Measure, NoMeasure, PartnerLists

N_UNITS, K, M = 600, 40, 6
DEAD, CONSTANT, TWIN, OTHER_TWIN, NEAR, DENSE, AVOIDS_DENSE, RARE, OTHER_RARE = range(9)


@pytest.fixture(scope="module")
def dense() -> NDArray[np.float32]:
    chance = np.random.default_rng(11)
    fires = chance.random((N_UNITS, K)) < 0.02 + 0.3 * chance.random(K) ** 2
    dense = np.where(fires, chance.exponential(1, (N_UNITS, K)) + 0.1, 0).astype(np.float32)
    dense[:, DEAD] = 0
    dense[:, CONSTANT] = 1
    dense[:, TWIN] = np.where(chance.random(N_UNITS) < 0.3, chance.random(N_UNITS) + 1, 0)
    dense[:, OTHER_TWIN] = 3 * dense[:, TWIN]
    dense[:, NEAR] = dense[:, TWIN] * (1 + 0.02 * chance.normal(size=N_UNITS))
    dense[:, DENSE] = np.where(chance.random(N_UNITS) < 0.5, 1 + chance.random(N_UNITS), 0)
    dense[:, AVOIDS_DENSE] = np.where(dense[:, DENSE] == 0, chance.random(N_UNITS) + 0.5, 0)
    dense[:, [RARE, OTHER_RARE]] = 0
    dense[:4, [RARE, OTHER_RARE]] = 1
    return dense


def features_of(dense: NDArray) -> tuple[Features, GramTile]:
    columns = to_columns(dense)
    ranks = rank_twice(columns, len(dense))
    of = [column_moments(columns.indptr, numbers, len(dense)) for numbers in (columns.value, ranks)]
    full = np.zeros(dense.shape)
    full[columns.row, columns.feature()] = ranks
    x, fires = dense.astype(np.float64), (dense != 0).astype(np.float64)
    return Features(len(dense), *of), GramTile(x.T @ x, full.T @ full, fires.T @ fires)


def choose(measure: Measure, dense: NDArray, first: int = 0, end: int = K, m: int = M) -> PartnerLists:
    features, gram = features_of(dense)
    tile = GramTile(gram.values[first:end], gram.ranks[first:end], gram.both[first:end])
    return choose_partners(tile, first, features, m)[measure]


@pytest.mark.parametrize("measure", Measure)
def test_partners_are_the_best_of_all_pairs(measure: Measure, dense: NDArray):
    found = choose(measure, dense)
    for feature in range(0, K, 2):
        together, avoiding = find_partners(measure, dense, feature, M)
        here = found.of(feature)
        assert together + avoiding == found.partner[here].tolist()
        for at in range(here.start, here.stop):
            other = int(found.partner[at])
            pair = (dense[:, feature], dense[:, other])
            assert found.value[at] == pytest.approx(correlate_pair(measure, *pair), abs=1e-6)
            assert abs(found.low[at]) == pytest.approx(pair_low(measure, *pair), abs=1e-6)
            assert found.low[at] * found.value[at] >= 0
            assert found.n_both[at] == ((pair[0] != 0) & (pair[1] != 0)).sum()


@pytest.mark.parametrize("measure", Measure)
def test_tiles_of_any_size_say_the_same(measure: Measure, dense: NDArray):
    whole = choose(measure, dense)
    for size in (1, 7):
        for first in range(0, K, size):
            part = choose(measure, dense, first, min(first + size, K))
            here = slice(int(whole.indptr[first]), int(whole.indptr[min(first + size, K)]))
            np.testing.assert_array_equal(whole.partner[here], part.partner)
            np.testing.assert_array_equal(whole.low[here], part.low)
            assert whole.near_duplicate_of[first : first + size].tolist() == part.near_duplicate_of.tolist()


def test_planted_duplicates_are_told_by_pearson(dense: NDArray):
    assert NEAR_DUPLICATE <= correlate_pair(Measure.PEARSON, dense[:, NEAR], dense[:, TWIN]) < 1
    found = choose(Measure.PEARSON, dense)
    assert np.flatnonzero(found.near_duplicate_of >= 0).tolist() == [OTHER_TWIN, NEAR]
    assert found.near_duplicate_of[[TWIN, OTHER_TWIN, NEAR]].tolist() == [-1, TWIN, TWIN]
    assert found.partner[found.of(TWIN)][0] == OTHER_TWIN
    assert (choose(Measure.COSINE, dense).near_duplicate_of == -1).all()


def test_four_common_units_are_too_few(dense: NDArray):
    for measure in Measure:
        assert OTHER_RARE not in choose(measure, dense).partner[choose(measure, dense).of(RARE)]


def test_who_avoids_whom_is_told_where_chance_would_bring_them_together(dense: NDArray):
    found = choose(Measure.PEARSON, dense)
    here = found.of(DENSE)
    assert found.partner[here][found.value[here] < 0][0] == AVOIDS_DENSE
    rare = found.of(RARE)
    assert not (found.value[rare] < 0).any()
    assert (choose(Measure.JACCARD, dense).value > 0).all()


def test_what_has_no_measure_has_no_partners_and_is_nobodys(dense: NDArray):
    for measure in Measure:
        found = choose(measure, dense)
        assert found.reasons[DEAD] is NoMeasure.DEAD
        assert found.of(DEAD).start == found.of(DEAD).stop
        assert DEAD not in found.partner
    pearson = choose(Measure.PEARSON, dense)
    assert pearson.reasons[CONSTANT] is NoMeasure.CONSTANT
    assert CONSTANT not in pearson.partner


def test_equal_bounds_are_ordered_by_index():
    dense = np.zeros((50, 6), dtype=np.float32)
    dense[:10] = 1
    found = choose(Measure.COSINE, dense, 0, 6, m=3)
    assert found.partner.reshape(6, 3).tolist() == [
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 2],
        [0, 1, 2],
        [0, 1, 2],
    ]
