"""Prices that are listed, and none made up for what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.explain.prices import Price, find_price
from featlas.specs import DEFAULT_MODELS


@pytest.mark.parametrize(
    ("provider", "model", "usd_in", "usd_out"),
    [
        ("openai", "gpt-4o-mini", 0.15, 0.6),
        ("openai", "gpt-4o-mini-2024-07-18", 0.15, 0.6),
        ("openai", "gpt-4o", 2.5, 10.0),
        ("anthropic", "claude-haiku-4-5", 1.0, 5.0),
    ],
)
def test_the_price_of_a_known_model(provider: str, model: str, usd_in: float, usd_out: float):
    assert find_price(provider, model) == Price(usd_in, usd_out)


def test_a_price_is_that_of_a_call_of_usual_length():
    # More is asked per token of a very long call to this one.
    assert find_price("anthropic", "claude-sonnet-4-5") == Price(3.0, 15.0)


def test_the_default_models_have_prices():
    assert all(find_price(provider, model) is not None for provider, model in DEFAULT_MODELS.items())


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("openai", ""),
        ("anthropic", "gpt-4o"),
        ("compatible", "gpt-4o"),
        ("compatible", "llama3.2"),
        ("openai", "x" * 10_000),
        ("openai", "ft:\u202e😀"),
    ],
)
def test_what_is_not_listed_has_no_price(provider: str, model: str):
    assert find_price(provider, model) is None


@pytest.mark.parametrize(
    ("price", "n_in", "n_out", "micro_usd"),
    [
        (Price(0.15, 0.6), 1_000_000, 0, 150_000),
        (Price(0.15, 0.6), 0, 1_000_000, 600_000),
        (Price(0.15, 0.6), 1000, 100, 210),
        (Price(0.15, 0.6), 1, 0, 0),
        (Price(0.0, 0.0), 10**9, 10**9, 0),
        (Price(3, 15), 0, 0, 0),
    ],
)
def test_money_is_counted_in_millionths_of_a_dollar(price: Price, n_in: int, n_out: int, micro_usd: int):
    found = price.micro_usd(n_in, n_out)
    assert (found, type(found)) == (micro_usd, int)


@given(st.floats(0, 1000), st.floats(0, 1000), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(usd_in: float, usd_out: float, n_in: int, n_out: int, more: int):
    price = Price(usd_in, usd_out)
    assert (
        price.micro_usd(n_in, n_out)
        <= price.micro_usd(n_in + more, n_out)
        <= price.micro_usd(n_in + more, n_out + more)
    )
