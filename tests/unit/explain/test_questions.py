"""The question of a labeling, and what asking many of them will take."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.errors import InputError
from featlas.explain.answers import ANSWER_SCHEMA
from featlas.explain.chat import ChatQuestion
from featlas.explain.pacing import EXPECTED_TOKENS_OUT
from featlas.explain.prices import Price
from featlas.explain.questions import Usage, build_question, estimate, find_job_price, spread_sample
from featlas.explain.render import RenderedPrompt
from featlas.explain.token_count import OVERHEAD, estimate_tokens
from featlas.specs import LabelSpec

PROMPT = RenderedPrompt("You name features.", "What fires on courts of law?", {})
N_IN = estimate_tokens(PROMPT.system) + estimate_tokens(PROMPT.user) + OVERHEAD
PRICE = Price(1.0, 10.0)


def spec_of(**changes: Any) -> LabelSpec:
    return LabelSpec(**{"run": "1", "provider": "openai", **changes})


def test_a_question_holds_all_that_decides_the_answer():
    assert build_question(spec_of(), PROMPT) == ChatQuestion(
        "gpt-4o-mini", PROMPT.system, PROMPT.user, 300, None, ANSWER_SCHEMA
    )
    spec = spec_of(model="gpt-x", max_output_tokens=77, temperature=0.0, answer_format="text")
    assert build_question(spec, PROMPT) == ChatQuestion("gpt-x", PROMPT.system, PROMPT.user, 77, 0.0, None)


@pytest.mark.parametrize(
    "changes",
    [{"concurrency": 9}, {"budget_tokens": 5}, {"timeout_s": 9.0}, {"max_retries": 0}, {"requests_per_minute": 3.0}],
)
def test_how_it_is_asked_is_not_part_of_the_question(changes: dict[str, Any]):
    assert build_question(spec_of(**changes), PROMPT) == build_question(spec_of(), PROMPT)


def test_the_price_is_the_listed_one_unless_the_job_says_another():
    assert find_job_price(spec_of()) == Price(0.15, 0.6)
    assert find_job_price(spec_of(price_in=0.0, price_out=0.5)) == Price(0.0, 0.5)
    assert find_job_price(spec_of(provider="compatible", model="m")) is None
    assert find_job_price(spec_of(provider="compatible", model="m", price_in=1.0, price_out=2.0)) == Price(1.0, 2.0)
    assert find_job_price(spec_of(model="unheard-of", budget_tokens=10)) is None


def test_a_budget_in_money_needs_a_price():
    with pytest.raises(InputError, match=r"no price is known of 'unheard-of' at openai.*--price-in.*--budget-tokens"):
        find_job_price(spec_of(model="unheard-of", budget=2.5))
    assert find_job_price(spec_of(budget=2.5)) is not None
    assert find_job_price(spec_of(model="unheard-of", budget=2.5, price_in=0, price_out=0)) == Price(0, 0)


@given(st.integers(0, 500), st.integers(1, 60))
def test_a_sample_is_spread_over_the_features_in_their_order(n_features: int, n: int):
    features = [3 * at for at in range(n_features)]
    sample = spread_sample(features, n)
    assert len(sample) == min(n, n_features)
    assert sample == sorted(set(sample))
    assert set(sample) <= set(features)
    if len(sample) > 1:
        gaps = [(after - before) // 3 for before, after in pairwise(sample)]
        assert max(gaps) - min(gaps) <= 1
        assert sample[0] == 0


def test_without_earlier_answers_the_texts_tell():
    found = estimate([PROMPT, PROMPT], 1000, spec_of(), PRICE, [])
    assert (found.n_features, found.n_tokens_in, found.n_tokens_out) == (1000, 1000 * N_IN, 1000 * EXPECTED_TOKENS_OUT)
    assert found.cost_micro_usd == 1000 * N_IN + 10_000 * EXPECTED_TOKENS_OUT
    assert (found.seconds, found.is_measured) == (None, False)


def test_no_price_no_cost():
    assert estimate([PROMPT], 10, spec_of(), None, []).cost_micro_usd is None


def test_nothing_to_ask_takes_nothing():
    found = estimate([], 0, spec_of(requests_per_minute=60), PRICE, [])
    assert (found.n_tokens_in, found.n_tokens_out, found.cost_micro_usd, found.seconds) == (0, 0, 0, 0)


def test_prompts_of_different_length_count_by_their_mean():
    longer = RenderedPrompt(PROMPT.system, PROMPT.user + " a b c d e f g h i j", {})
    assert estimate([PROMPT, longer], 100, spec_of(), None, []).n_tokens_in == 100 * (N_IN + 5)


def test_earlier_answers_of_the_model_correct_the_estimate():
    """A provider that counts half as many tokens again, and answers of 40 tokens in 2 s."""
    usage = [Usage(PROMPT.system, PROMPT.user, round(1.5 * N_IN * 10) // 10, 30, 1.0) for _ in range(2)]
    usage += [Usage(PROMPT.system, PROMPT.user, round(1.5 * N_IN * 10) // 10, 50, 3.0) for _ in range(2)]
    found = estimate([PROMPT], 1000, spec_of(concurrency=4), PRICE, usage)
    assert found.n_tokens_in == pytest.approx(1500 * N_IN, rel=0.03)
    assert found.n_tokens_out == 40_000
    assert found.cost_micro_usd == found.n_tokens_in + 10 * found.n_tokens_out
    assert (found.seconds, found.is_measured) == (1000 * 2 / 4, True)


def test_answers_without_seconds_tell_no_time():
    usage = [Usage(PROMPT.system, PROMPT.user, N_IN, 40, None)]
    assert estimate([PROMPT], 10, spec_of(), None, usage).seconds is None
    usage.append(Usage(PROMPT.system, PROMPT.user, N_IN, 40, 5.0))
    assert estimate([PROMPT], 10, spec_of(concurrency=1), None, usage).seconds == 50


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"concurrency": 10}, 200.0),
        ({"concurrency": 10, "requests_per_minute": 60}, 1000.0),
        ({"concurrency": 10, "requests_per_minute": 6000}, 200.0),
        ({"concurrency": 10, "tokens_per_minute": 60}, 1000.0 * (N_IN + 40)),
        ({"concurrency": 1, "tokens_per_minute": 10**9, "requests_per_minute": 10**9}, 2000.0),
    ],
)
def test_the_slowest_limit_decides_about_the_time(changes: dict[str, Any], seconds: float):
    usage = [Usage(PROMPT.system, PROMPT.user, N_IN, 40, 2.0)]
    assert estimate([PROMPT], 1000, spec_of(**changes), None, usage).seconds == pytest.approx(seconds)
