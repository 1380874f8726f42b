"""What a labeling can be asked for, and what is refused before anything is done."""

from typing import Any

import pytest
from pydantic import ValidationError

from featlas.specs import DEFAULT_MODELS, LabelOptions, LabelSpec


def spec_of(**fields: Any) -> LabelSpec:
    return LabelSpec(**{"run": "1", **fields})


def complaints(**fields: Any) -> str:
    with pytest.raises(ValidationError) as error:
        spec_of(**fields)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.value.errors())


def test_without_a_provider_nobody_is_asked():
    spec = spec_of()
    assert (spec.provider, spec.asks_a_language_model, spec.asked_model) == ("lexical", False, "")
    assert spec_of(relabel=True, rules=False, concurrency=9, retry_of=3).asks_a_language_model is False


@pytest.mark.parametrize(("provider", "model"), DEFAULT_MODELS.items())
def test_a_provider_has_a_model_unless_another_is_named(provider: str, model: str):
    assert spec_of(provider=provider).asked_model == model
    named = spec_of(provider=provider, model="another")
    assert (named.asked_model, named.asks_a_language_model) == ("another", True)


def test_a_server_of_ones_own_has_no_default_model():
    assert "--provider compatible needs --model" in complaints(provider="compatible")
    assert spec_of(provider="compatible", model="llama3.2").asked_model == "llama3.2"


@pytest.mark.parametrize("price", [{"price_in": 1.0}, {"price_out": 1.0}])
def test_prices_belong_together(price: dict[str, float]):
    assert "--price-in and --price-out belong together" in complaints(provider="openai", **price)
    assert spec_of(provider="openai", price_in=0, price_out=0).price_in == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "m"), ("template", "general"), ("dry_run", 5), ("budget", 1.0), ("budget_tokens", 100)],
)
def test_what_the_offline_labeler_would_leave_unheeded_is_refused(name: str, value: object):
    option = f"--{name.replace('_', '-')}"
    message = f"{option} is for language models; add --provider openai, anthropic or compatible"
    assert message in complaints(**{name: value})
    assert getattr(spec_of(provider="openai", **{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("provider", "google"),
        ("retry_of", 0),
        ("retry_of", 2**63),
        ("dry_run", -1),
        ("dry_run", 101),
        ("budget", 0),
        ("budget", float("nan")),
        ("budget", float("inf")),
        ("budget_tokens", 0),
        ("price_in", -0.1),
        ("price_out", float("inf")),
        ("concurrency", 0),
        ("concurrency", 257),
        ("requests_per_minute", 0),
        ("tokens_per_minute", float("nan")),
        ("max_output_tokens", 15),
        ("max_output_tokens", 32_769),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("answer_format", "xml"),
        ("timeout_s", 0),
        ("timeout_s", 3601),
        ("max_retries", -1),
        ("max_retries", 21),
        ("run", ""),
        ("key", "sk-secret"),
        ("model", "a\0"),
        ("model", "\ud800"),
        ("template", "\udfff"),
        ("query", "\0"),
        ("run", "\0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, value: object):
    assert f"{name}: " in complaints(**{"provider": "openai", name: value})


def test_the_same_request_has_the_same_hash_and_another_one_another():
    hashes = [
        spec_of(provider="openai").content_hash(),
        spec_of(provider="openai", model="").content_hash(),
        spec_of(provider="openai", model="x").content_hash(),
        spec_of(provider="anthropic").content_hash(),
        spec_of(provider="openai", budget_tokens=5).content_hash(),
        spec_of(provider="openai", retry_of=5).content_hash(),
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 5


def test_a_request_survives_the_way_through_json():
    for fields in ({}, {"provider": "openai", "budget": 0.5, "query": "is:dead"}, {"retry_of": 3}):
        spec = spec_of(**fields)
        assert LabelSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_options_alone_are_checked_in_the_same_way():
    assert LabelOptions().provider == "lexical"
    with pytest.raises(ValidationError, match="needs --model"):
        LabelOptions(provider="compatible")
