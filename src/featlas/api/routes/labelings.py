"""Labeling by language models: who can be asked, what it would take, what a job gave, and how two jobs differ."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from featlas.api import labeling_schemas as schemas
from featlas.api import shapes
from featlas.api.label_preview import plan_labeling, preview_prompt
from featlas.api.surroundings import Here
from featlas.domain import EvidenceOptions, FailureCause, LabelStatus, PromptWording, to_usd
from featlas.errors import InputError, NotFoundError
from featlas.specs import LabelSpec, read_spec
from featlas.store import labelings
from featlas.store.job_views import fetch_job
from featlas.store.labels import fetch_label
from featlas.store.library import fetch_sae
from featlas.store.responses import fetch_response

router = APIRouter(tags=["labelings"])


@router.get("/providers")
def list_providers(here: Here) -> schemas.Providers:
    """Who can be asked for labels, and what is missing where one cannot."""
    return schemas.Providers(items=[schemas.ProviderStatus(**asdict(one)) for one in here.list_providers()])


@router.post("/providers/{name}/test")
def test_provider(name: str, new: schemas.ProviderToTry, here: Here) -> schemas.ProviderTrial:
    """Ask one tiny question: is the provider there, does it take the key, does it keep to a JSON schema?"""
    return schemas.ProviderTrial(**asdict(here.try_provider(name, new.model)))


@router.post("/labelings/plan")
def plan(new: schemas.LabelingToPlan, here: Here) -> schemas.LabelingPlan:
    """What a labeling would do and take; nobody is asked."""
    spec = _asking_spec(new.spec)
    planned = plan_labeling(here.store, here.artifacts_path, spec)
    found = planned.estimate
    return schemas.LabelingPlan(
        run=planned.run.id,
        template=planned.template.name,
        template_version=planned.template.version,
        model=spec.asked_model,
        n_features=found.n_features,
        n_skipped=planned.n_skipped,
        n_tokens_in=found.n_tokens_in,
        n_tokens_out=found.n_tokens_out,
        usd=to_usd(found.cost_micro_usd),
        usd_per_million_in=planned.price and planned.price.usd_in,
        usd_per_million_out=planned.price and planned.price.usd_out,
        seconds=found.seconds,
        is_measured=found.is_measured,
        sample=planned.sample,
    )


@router.post("/labelings/preview")
def preview(new: schemas.PromptToPreview, here: Here) -> schemas.PreviewedPrompt:
    """The exact prompt of one feature, as a dry run and a job would send it."""
    wording = None if new.wording is None else _wording(new.wording)
    found = preview_prompt(here.store, here.artifacts_path, _asking_spec(new.spec), new.feature_index, wording)
    return schemas.PreviewedPrompt(
        feature_index=new.feature_index,
        system=found.prompt.system,
        user=found.prompt.user,
        request=asdict(found.question),
        n_tokens_in=found.n_tokens_in,
        usd=to_usd(found.cost_micro_usd),
        shown=dict(found.prompt.shown),
    )


Which = Literal["different", "same", "all"]


@router.get("/labelings/compare")
def compare(
    here: Here,
    a: Annotated[int, Query(ge=1, lt=2**63, description="A labeling job.")],
    b: Annotated[int, Query(ge=1, lt=2**63, description="Another one of the same SAE.")],
    which: Which = "different",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int, Query(ge=-1, lt=2**31, description="The `next` of the page before.")] = -1,
) -> schemas.LabelingComparison:
    """How two labeling jobs answered, feature by feature."""
    with here.store.read() as session:
        found = labelings.compare_jobs(session, a, b, which=which, limit=limit, after_index=after)
    return schemas.LabelingComparison(
        n_both=found.n_both,
        n_same=found.n_same,
        n_only_a=found.n_only_a,
        n_only_b=found.n_only_b,
        items=[
            schemas.ComparedFeature(
                feature_index=index,
                a=one and shapes.label_of(one),
                b=other and shapes.label_of(other),
            )
            for index, one, other in found.pairs
        ],
        next=None if found.next_index is None else str(found.next_index),
    )


@router.get("/labelings")
def list_labelings(
    here: Here,
    sae: Annotated[str, Query(description="Name, number or uid of the SAE.")],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int | None, Query(ge=0, lt=2**63, description="The `next` of the page before.")] = None,
) -> schemas.Labelings:
    """The labeling jobs of an SAE, newest first; dry runs, which keep no labels, are not among them."""
    with here.store.read() as session:
        sae_id = fetch_sae(session, sae).id
        found = labelings.list_labelings(session, sae_id, limit=limit + 1, before_id=after)
    shown = found[:limit]
    return schemas.Labelings(
        items=[shapes.job_of(job) for job in shown], next=str(shown[-1].id) if len(found) > limit else None
    )


@router.get("/labelings/{job}")
def show(job: int, here: Here) -> schemas.Labeling:
    """A labeling job with what it has given so far."""
    found = fetch_job(here.store, job)
    if found.kind != labelings.KIND:
        raise NotFoundError(f"job {job} is no labeling; GET /jobs?kind={labelings.KIND} lists those")
    with here.store.read() as session:
        counts = labelings.count_job_labels(session, job)
        n_left_failed = len(labelings.list_failed(session, job))
    numbers = {name: value for name, value in vars(counts).items() if name != "cost_micro_usd"}
    return schemas.Labeling(
        job=shapes.job_of(found),
        counts=schemas.LabelingCounts(**numbers, n_left_failed=n_left_failed, usd=to_usd(counts.cost_micro_usd)),
    )


@router.get("/labelings/{job}/labels")
def list_labels(
    job: int,
    here: Here,
    status: LabelStatus | None = None,
    cause: FailureCause | None = None,
    linted: Annotated[bool, Query(description="Only labels that lint speaks against.")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int | None, Query(ge=0, lt=2**63, description="The `next` of the page before.")] = None,
) -> schemas.JobLabels:
    """What a labeling job said, newest first."""
    fetch_job(here.store, job)
    with here.store.read() as session:
        found = labelings.list_job_labels(
            session, job, status=status, cause=cause, linted_only=linted, limit=limit + 1, before_id=after
        )
    shown = found[:limit]
    return schemas.JobLabels(
        items=[shapes.label_of(label) for label in shown], next=str(shown[-1].id) if len(found) > limit else None
    )


@router.get("/labels/{label}/answer")
def show_answer(label: int, here: Here) -> schemas.KeptAnswer:
    """The exact question and answer behind a language model's label."""
    with here.store.read() as session:
        found = fetch_label(session, label)
        if found.response_key is None:
            raise NotFoundError(f"label {label} was not read from a language model's answer")
        kept = fetch_response(session, found.response_key)
    return schemas.KeptAnswer(
        label=label,
        provider=kept.provider,
        model=kept.model,
        request=dict(kept.request),
        text=str(kept.response["text"]),
        answered_by=str(kept.response["model"]),
        n_tokens_in=kept.n_tokens_in,
        n_tokens_out=kept.n_tokens_out,
        usd=to_usd(kept.cost_micro_usd),
        seconds=kept.wall_s,
    )


def _wording(new: schemas.Wording) -> PromptWording:
    unknown = sorted(new.evidence.keys() - EvidenceOptions.__dataclass_fields__.keys())
    if unknown:
        known = ", ".join(EvidenceOptions.__dataclass_fields__)
        raise InputError(f"evidence has no {unknown[0]!r}; expected some of {known}")
    return PromptWording(new.system, new.user, EvidenceOptions(**new.evidence))


def _asking_spec(fields: dict[str, Any]) -> LabelSpec:
    spec = read_spec(LabelSpec, fields)
    if not spec.asks_a_language_model:
        raise InputError("the offline labeler asks nobody; choose the provider openai, anthropic or compatible")
    return spec
