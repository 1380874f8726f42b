import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import intervals as oracle
from tests.oracles.clustered import Regime, simulate
from tests.oracles.statistics import wilson_low as wilson_oracle

from featlas.core.intervals import (
    FrequencyCounts,
    exact_binomial,
    few_documents_interval,
    frequency_interval,
    jackknife_t,
    mean_interval,
    rule_of_three,
    wilson_low,
)


@given(st.integers(0, 50), st.integers(0, 50))
def test_wilsons_bound_solves_its_equation(successes: int, more: int):
    trials = successes + more
    bound = wilson_low(np.array([successes]), np.array([trials]))
    assert bound[0] == pytest.approx(wilson_oracle(successes, trials), abs=1e-9)
    assert bound[0] >= 0


def test_wilsons_bound_prefers_the_share_that_rests_on_more():
    low = wilson_low(np.array([1, 90, 0, 0]), np.array([1, 100, 10, 0]))
    assert low[1] > low[0] > 0
    assert [0.0, 0.0] == low[2:].tolist()


@pytest.mark.parametrize("trials", [1, 7, 400])
def test_the_exact_binomial_is_scipys(trials: int):
    k = np.array([k for k in (1, 2, 5, 7, 399, 400) if k <= trials])
    found = exact_binomial(k, trials)
    for i, successes in enumerate(k.tolist()):
        assert (found.low[i], found.high[i]) == pytest.approx(oracle.clopper_pearson(successes, trials), rel=1e-9)


def test_nothing_seen_is_at_most_three_in_so_many():
    found = exact_binomial(np.array([0]), 600)
    assert (0.0, 0.005) == (found.low[0], found.high[0])
    assert (1.0, 0.5, 0.003) == (rule_of_three(2), rule_of_three(6), rule_of_three(1000))
    assert rule_of_three(1) == 1.0
    assert np.isnan(rule_of_three(0))


def test_no_trials_have_no_interval():
    found = exact_binomial(np.array([0, 1]), 0)
    assert np.isnan([found.low, found.high]).all()
    assert (2,) == found.low.shape == found.high.shape


group_values = st.lists(st.floats(-5, 5), min_size=16, max_size=16)
masks = st.lists(st.booleans(), min_size=16, max_size=16)


@given(group_values, masks)
def test_the_jackknife_is_its_definition(values: list[float], mask: list[bool]):
    kept = [v for v, is_group in zip(values, mask, strict=True) if is_group]
    expected = oracle.jackknife_half_width(kept)
    actual = jackknife_t(np.array([values]), np.array([mask]))[0]
    assert actual == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)


def test_equal_groups_have_no_spread():
    assert 0.0 == jackknife_t(np.full((1, 16), 3.0), np.ones((1, 16), dtype=bool))[0]


counts = st.lists(st.sampled_from([0, 0, 0, 1, 2, 30]), min_size=16, max_size=16)
sizes = st.lists(st.sampled_from([0, 40, 1000]), min_size=16, max_size=16)


@given(counts, sizes, st.integers(1, 40))
def test_the_interval_of_a_frequency_is_the_oracles(n_fires: list[int], n_tokens: list[int], n_documents: int):
    n_fires = [min(n, t) for n, t in zip(n_fires, n_tokens, strict=True)]
    if sum(n_tokens) == 0:
        n_tokens = [100] * 16
    k = min(n_documents, sum(n_fires)) if sum(n_fires) else 0
    found = frequency_interval(FrequencyCounts(np.array([n_fires]), np.array([k]), np.array(n_tokens), n_documents))
    expected = oracle.frequency(n_fires, k, n_tokens, n_documents)
    assert (found.low[0], found.high[0]) == pytest.approx(expected, rel=1e-9)
    if 0 < k:
        frequency = sum(n_fires) / sum(n_tokens)
        assert found.low[0] <= frequency * (1 + 1e-9)
        assert frequency <= found.high[0] * (1 + 1e-9)


@given(counts, st.integers(1, 40))
def test_the_interval_from_few_documents_is_the_oracles(n_fires: list[int], n_documents: int):
    k = min(n_documents, sum(n_fires))
    found = few_documents_interval(FrequencyCounts(np.array([n_fires]), np.array([k]), np.full(16, 50), n_documents))
    if k == 0:
        assert np.isnan([found.low[0], found.high[0]]).all()
    else:
        expected = oracle.few_documents(n_fires, k, n_documents, 800)
        assert (found.low[0], found.high[0]) == pytest.approx(expected, rel=1e-9)


def test_documents_with_one_event_each_give_the_exact_binomial():
    n_fires = np.array([[1] * 9 + [0] * 7])
    found = few_documents_interval(FrequencyCounts(n_fires, np.array([9]), np.full(16, 10_000), 1000))
    low, high = oracle.clopper_pearson(9, 1000)
    assert found.low[0] == pytest.approx(low * 1000 / 160_000, rel=1e-9)
    assert found.high[0] >= high * 1000 / 160_000


def test_an_empty_corpus_has_no_frequency_to_bound():
    none = np.zeros((2, 16), dtype=np.int64)
    found = frequency_interval(FrequencyCounts(none, none[:, 0], none[0], 0))
    assert [0.0, 0.0] == found.low.tolist()
    assert np.isnan(found.high).all()


def test_ten_documents_are_enough_for_the_jackknife():
    n_fires = np.array([[1, 5, 2, 3, 1, 1, 1, 1, 1, 4, 0, 0, 0, 0, 0, 0]] * 2)
    found = frequency_interval(FrequencyCounts(n_fires, np.array([9, 10]), np.full(16, 100), 50))
    assert (found.low[0], found.high[0]) == pytest.approx(oracle.few_documents(n_fires[0].tolist(), 9, 50, 1600))
    assert found.high[1] < found.high[0]


sums = st.lists(st.sampled_from([-7.0, -1.0, 0.5, 2.0, 9.0]), min_size=16, max_size=16)


@given(sums, counts, st.sampled_from(["as they are", "positive", "negative"]))
def test_the_interval_of_a_mean_is_the_oracles(group_sum: list[float], n_fires: list[int], sign: str):
    group_sum = [s if n > 0 else 0.0 for s, n in zip(group_sum, n_fires, strict=True)]
    if sign != "as they are":
        group_sum = [abs(s) * (1 if sign == "positive" else -1) for s in group_sum]
    found = mean_interval(np.array([group_sum]), np.array([n_fires]))
    expected = oracle.mean(group_sum, n_fires)
    assert (found.low[0], found.high[0]) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def test_a_mean_of_nothing_or_of_one_group_has_no_interval():
    n_fires = np.zeros((2, 16), dtype=np.int64)
    n_fires[1, 3] = 5
    found = mean_interval(n_fires * 2.0, n_fires)
    assert np.isnan([found.low, found.high]).all()


REGIMES = [
    Regime(300, 0.005, 0.005, 0, 0.3),  # often dead, seldom more than two documents
    Regime(300, 0.02, 0.005, 0, 0.5),  # about five documents
    Regime(300, 0.03, 0.02, 0, 0.5),  # on both sides of ten documents
    Regime(300, 0.1, 0.02, 10, 0.5),  # unequal documents, design effect about 70
    Regime(300, 0.3, 0.02, 2, 0.5),  # very unequal documents, design effect about 200
    Regime(300, 1, 0.005, 0, 0.3),  # nearly independent tokens
    Regime(1000, 0.3, 0.02, 0, 0.5),
    Regime(1000, 1, 0.02, 20, 0.5),  # design effect about 30
]


@pytest.mark.parametrize("regime", REGIMES, ids=str)
def test_95_percent_intervals_cover_at_least_93_percent(regime: Regime):
    covers_frequency: list[bool] = []
    covers_mean: list[bool] = []
    for seed in range(20):
        drawn = simulate(regime, 100, seed)
        found = frequency_interval(
            FrequencyCounts(drawn.n_fires, drawn.n_documents_fired, drawn.n_tokens, regime.n_documents)
        )
        is_live = drawn.n_documents_fired > 0
        covers_frequency += ((found.low <= regime.frequency) & (regime.frequency <= found.high))[is_live].tolist()
        mean = mean_interval(drawn.sum, drawn.n_fires)
        exists = ~np.isnan(mean.low)
        covers_mean += ((mean.low <= regime.mean) & (regime.mean <= mean.high))[exists].tolist()
    assert np.mean(covers_frequency) >= 0.93
    assert np.mean(covers_mean) >= 0.93
