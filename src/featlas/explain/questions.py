"""The question that a labeling asks about a feature, and what asking about many will cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from featlas.errors import InputError
from featlas.explain.answers import ANSWER_SCHEMA
from featlas.explain.chat import ChatQuestion
from featlas.explain.pacing import EXPECTED_TOKENS_OUT
from featlas.explain.prices import Price, find_price
from featlas.explain.render import RenderedPrompt
from featlas.explain.token_count import estimate_prompt
from featlas.specs import LabelSpec

N_SAMPLED = 40
"""Features whose prompts are rendered to estimate those of all."""


def build_question(spec: LabelSpec, prompt: RenderedPrompt) -> ChatQuestion:
    """What is sent for a prompt; preview, dry run and job all send this."""
    return ChatQuestion(
        model=spec.asked_model,
        system=prompt.system,
        user=prompt.user,
        max_output_tokens=spec.max_output_tokens,
        temperature=spec.temperature,
        schema=ANSWER_SCHEMA if spec.answer_format == "schema" else None,
    )


def find_job_price(spec: LabelSpec) -> Price | None:
    """What the spec says, else the listed price; InputError for a budget in money that nothing can be held against."""
    if spec.price_in is not None and spec.price_out is not None:
        return Price(spec.price_in, spec.price_out)
    price = find_price(spec.provider, spec.asked_model)
    if price is None and spec.budget is not None:
        raise InputError(
            f"no price is known of {spec.asked_model!r} at {spec.provider}, so --budget {spec.budget:g} cannot be kept;"
            " give --price-in and --price-out, or --budget-tokens"
        )
    return price


@dataclass(frozen=True)
class Usage:
    """What one earlier answer of the same model took: the texts that were sent, and the provider's counts."""

    system: str
    user: str
    n_tokens_in: int
    n_tokens_out: int
    wall_s: float | None


@dataclass(frozen=True)
class Estimate:
    """What asking about `n_features` will take.

    `is_measured` says that earlier answers of the same model were there to measure by; `seconds` is None without them,
    `cost_micro_usd` where no price is known.
    """

    n_features: int
    n_tokens_in: int
    n_tokens_out: int
    cost_micro_usd: int | None
    seconds: float | None
    is_measured: bool


def spread_sample(features: Sequence[int], n: int = N_SAMPLED) -> list[int]:
    """At most n features, evenly over their order."""
    step = max(1.0, len(features) / n)
    return [features[int(at * step)] for at in range(min(n, len(features)))]


def estimate(
    prompts: Sequence[RenderedPrompt], n_features: int, spec: LabelSpec, price: Price | None, usage: Sequence[Usage]
) -> Estimate:
    """The estimate for n_features from a sample of their prompts and from what the same model took before."""
    counted = [estimate_prompt(prompt.system, prompt.user) for prompt in prompts]
    mean_in, mean_out = sum(counted) / max(len(counted), 1), float(EXPECTED_TOKENS_OUT)
    wall_s = None
    if usage:
        guessed = sum(estimate_prompt(one.system, one.user) for one in usage)
        mean_in *= sum(one.n_tokens_in for one in usage) / max(guessed, 1)
        mean_out = sum(one.n_tokens_out for one in usage) / len(usage)
        timed = [one.wall_s for one in usage if one.wall_s is not None]
        wall_s = sum(timed) / len(timed) if timed else None
    n_in, n_out = round(mean_in * n_features), round(mean_out * n_features)
    return Estimate(
        n_features=n_features,
        n_tokens_in=n_in,
        n_tokens_out=n_out,
        cost_micro_usd=price and price.micro_usd(n_in, n_out),
        seconds=_seconds(n_features, n_in + n_out, wall_s, spec),
        is_measured=bool(usage),
    )


def _seconds(n_features: int, n_tokens: int, wall_s: float | None, spec: LabelSpec) -> float | None:
    """The slowest of answering, requests a minute and tokens a minute; None where nothing is known."""
    limits = []
    if wall_s is not None:
        limits.append(n_features * wall_s / spec.concurrency)
    if spec.requests_per_minute:
        limits.append(60 * n_features / spec.requests_per_minute)
    if spec.tokens_per_minute:
        limits.append(60 * n_tokens / spec.tokens_per_minute)
    return max(limits, default=None)
