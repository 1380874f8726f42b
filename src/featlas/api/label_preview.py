"""What a labeling would ask and what that would take, before anybody is asked; page and command line share it."""

from dataclasses import dataclass
from pathlib import Path

from featlas.domain import PromptTemplate, PromptWording
from featlas.errors import NotFoundError
from featlas.explain.chat import ChatQuestion
from featlas.explain.pacing import EXPECTED_TOKENS_OUT
from featlas.explain.prices import Price
from featlas.explain.questions import Estimate, Usage, build_question, estimate, find_job_price, spread_sample
from featlas.explain.render import RenderedPrompt, render_prompt
from featlas.explain.templates import check_wording
from featlas.explain.token_count import estimate_prompt
from featlas.specs import LabelSpec
from featlas.store.artifacts import artifact_name
from featlas.store.label_choice import choose_features
from featlas.store.labelings import fetch_pinned_template, pin_labeling
from featlas.store.prompt_evidence import PromptEvidenceReader
from featlas.store.responses import list_newest_responses
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store


@dataclass(frozen=True)
class PlannedLabeling:
    """What a labeling job would do: how many features, by which template, for how much, and who is left out."""

    run: Run
    template: PromptTemplate
    price: Price | None
    estimate: Estimate
    n_skipped: dict[str, int]
    sample: list[int]


@dataclass(frozen=True)
class PreviewedPrompt:
    """The exact question about one feature."""

    question: ChatQuestion
    prompt: RenderedPrompt
    n_tokens_in: int
    cost_micro_usd: int | None


def plan_labeling(store: Store, artifacts_path: Path, spec: LabelSpec) -> PlannedLabeling:
    """The plan of a labeling by a language model; prompts are rendered of a sample that is spread over the selection.

    Raises NotFoundError for an unknown run or template, ConflictError for an unfinished run, InputError for a budget in
    money without a price, QueryError for a query that cannot be read.
    """
    with store.read() as session:
        spec = pin_labeling(session, spec)
        run = fetch_run(session, spec.run)
        template = fetch_pinned_template(session, spec)
        usage = [
            Usage(one.request["system"], one.request["user"], one.n_tokens_in, one.n_tokens_out, one.wall_s)
            for one in list_newest_responses(session, spec.provider, spec.asked_model)
            if one.n_tokens_in is not None and one.n_tokens_out is not None
        ]
    price = find_job_price(spec)
    choice = choose_features(store, run, spec)
    features = choice.features.tolist()
    features = features[: spec.dry_run] if spec.dry_run else features
    reader = PromptEvidenceReader(store, run, _folder(artifacts_path, run))
    sample = spread_sample(features)
    shown = reader.read(sample, template.wording.evidence)
    prompts = [render_prompt(template.wording, one) for one in shown]
    return PlannedLabeling(
        run, template, price, estimate(prompts, len(features), spec, price, usage), choice.skipped, sample
    )


def preview_prompt(
    store: Store, artifacts_path: Path, spec: LabelSpec, feature_index: int, wording: PromptWording | None = None
) -> PreviewedPrompt:
    """The question about one feature, in the spec's template or in a wording that is not saved yet.

    Raises what `plan_labeling` does, and InputError for a wording that cannot be used.
    """
    with store.read() as session:
        run = fetch_run(session, spec.run)
        if wording is None:
            wording = fetch_pinned_template(session, pin_labeling(session, spec)).wording
    check_wording(wording)
    if not 0 <= feature_index < run.n_features:
        raise NotFoundError(
            f"run {run.name!r} has no feature {feature_index}; its features are 0 … {run.n_features - 1}"
        )
    (evidence,) = PromptEvidenceReader(store, run, _folder(artifacts_path, run)).read([feature_index], wording.evidence)
    prompt = render_prompt(wording, evidence)
    n_tokens_in = estimate_prompt(prompt.system, prompt.user)
    price = find_job_price(spec)
    cost = price and price.micro_usd(n_tokens_in, EXPECTED_TOKENS_OUT)
    return PreviewedPrompt(build_question(spec, prompt), prompt, n_tokens_in, cost)


def _folder(artifacts_path: Path, run: Run) -> Path:
    return artifacts_path / artifact_name(run.spec_hash, run.job_id)
