"""What labeling jobs have done: which features they answered, what failed and why, and how two jobs differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, func, select
from sqlalchemy.orm import Session, aliased

from featlas.domain import FailureCause, JobState, Label, LabelStatus, PromptTemplate
from featlas.errors import ConflictError, InputError
from featlas.specs import LabelSpec
from featlas.store import jobs
from featlas.store.job_views import Job, find_unfinished, job_of, unknown_job
from featlas.store.labels import label_of
from featlas.store.prompt_templates import count_use, fetch_default, fetch_template
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, JobRow, LabelRow, RunRow
from featlas.store.template_versions import stale_versions

KIND = "labeling"


def pin_labeling(session: Session, spec: LabelSpec) -> LabelSpec:
    """The spec with its run and its template named for good: a job then means the same whatever changes.

    Raises NotFoundError or ConflictError for a run or a template that is not there, InputError for a job whose failures
    cannot be asked again.
    """
    run = fetch_run(session, spec.run)
    _refuse_wrong_retry(session, spec, run)
    pinned = {"run": run.uid}
    if spec.asks_a_language_model:
        name, _, version = spec.template.partition("@")
        if version and not (version.isdecimal() and len(version) < 100):
            raise InputError(f"--template {spec.template!r}: expected a number after @, as in general@2")
        found = fetch_template(session, name, int(version) if version else None) if name else fetch_default(session)
        pinned["template"] = f"{found.uid}@{found.version}"
        pinned["model"] = spec.asked_model
    return spec.model_copy(update=pinned)


def fetch_pinned_template(session: Session, pinned: LabelSpec) -> PromptTemplate:
    """The template of a spec that `pin_labeling` gave, in the version that it names."""
    name, _, version = pinned.template.partition("@")
    return fetch_template(session, name, int(version))


def enqueue_labeling(store: Store, spec: LabelSpec) -> Job:
    """Queue a labeling, pinned; its template counts one use more. Raises what `pin_labeling` does.

    Raises ConflictError where a job that is not finished does the same.
    """
    with store.read() as session:
        spec = pin_labeling(session, spec)
    known = find_unfinished(store, KIND, spec.content_hash())
    if known is not None and known.state in (JobState.QUEUED, JobState.RUNNING):
        raise ConflictError(f"job {known.id} does the same and is {known.state}; watch that one, or cancel it first")
    job = jobs.enqueue(store, KIND, spec)
    if spec.asks_a_language_model and not spec.dry_run:
        with store.write() as session:
            count_use(session, fetch_pinned_template(session, spec).id)
    return job


def take_up_labeling(store: Store, spec: LabelSpec) -> tuple[Job, JobState | None]:
    """The unfinished job that does the same, ready to go on, and in which state it was; else a new one and None."""
    with store.read() as session:
        pinned = pin_labeling(session, spec)
    known = find_unfinished(store, KIND, pinned.content_hash())
    if known is None:
        return enqueue_labeling(store, spec), None
    return jobs.resume(store, known.id) if known.state in jobs.RESUMABLE else known, known.state


def _refuse_wrong_retry(session: Session, spec: LabelSpec, run: Run) -> None:
    if spec.retry_of is None:
        return
    kind = session.scalar(select(JobRow.kind).where(JobRow.id == spec.retry_of))
    if kind != KIND:
        raise InputError(
            f"--retry-of {spec.retry_of}: expected the number of a labeling job, as `featlas jobs ls` has it"
        )
    of_others = (LabelRow.labeling_job_id == spec.retry_of, LabelRow.sae_id != run.sae_id)
    if session.scalar(select(LabelRow.id).where(*of_others).limit(1)) is not None:
        raise InputError(f"--retry-of {spec.retry_of}: that job labeled another SAE than run {run.name!r} has")


def list_labelings(session: Session, sae_id: int, *, limit: int = 50, before_id: int | None = None) -> list[Job]:
    """The labeling jobs over runs of an SAE, newest first, without dry runs; a page goes on below `before_id`."""
    runs = select(RunRow.uid).where(RunRow.sae_id == sae_id)
    statement = select(JobRow).where(
        JobRow.kind == KIND,
        JobRow.spec["run"].as_string().in_(runs),
        func.coalesce(JobRow.spec["dry_run"].as_integer(), 0) == 0,
    )
    if before_id is not None:
        statement = statement.where(JobRow.id < before_id)
    return [job_of(row) for row in session.scalars(statement.order_by(JobRow.id.desc()).limit(limit))]


@dataclass(frozen=True)
class Answered:
    """What a labeling job has answered so far, over all its attempts: features, and the tokens paid for."""

    features: frozenset[int]
    n_requests: int
    n_tokens_in: int
    n_tokens_out: int


def read_answered(session: Session, job_id: int) -> Answered:
    """The features that a job has answered (a failure is an answer too) by asking, and what that took."""
    row = LabelRow
    of_job = (row.labeling_job_id == job_id, row.template_version_id.is_not(None))
    features = frozenset(session.scalars(select(row.feature_index).where(*of_job)))
    tokens: Any = session.execute(
        select(
            func.count(row.n_tokens_out),
            func.coalesce(func.sum(row.n_tokens_in), 0),
            func.coalesce(func.sum(row.n_tokens_out), 0),
        ).where(*of_job)
    ).one()
    return Answered(features, *(int(number) for number in tokens))


def read_said(session: Session, job_id: int) -> frozenset[int]:
    """The features of which a job has said anything, by asking or by rule."""
    return frozenset(session.scalars(select(LabelRow.feature_index).where(LabelRow.labeling_job_id == job_id)))


def count_texts(session: Session, job_id: int) -> dict[str, int]:
    """How many of a job's labels have each text."""
    of_job = (LabelRow.labeling_job_id == job_id, LabelRow.semantic_label.is_not(None))
    rows = session.execute(
        select(LabelRow.semantic_label, func.count()).where(*of_job).group_by(LabelRow.semantic_label)
    )
    return {text: n for text, n in rows if text is not None}


def list_failed(session: Session, job_id: int) -> list[int]:
    """The features that failed in a job and that nobody has labeled since, ascending."""
    later = aliased(LabelRow)
    is_labeled = (
        select(later.id)
        .where(
            later.sae_id == LabelRow.sae_id,
            later.feature_index == LabelRow.feature_index,
            later.id > LabelRow.id,
            later.status != LabelStatus.FAILED,
        )
        .exists()
    )
    of_job = (LabelRow.labeling_job_id == job_id, LabelRow.status == LabelStatus.FAILED, ~is_labeled)
    return sorted(set(session.scalars(select(LabelRow.feature_index).where(*of_job))))


def list_in_force(session: Session, sae_id: int) -> list[int]:
    """The features of an SAE that have a label in force, ascending."""
    state = FeatureStateRow
    of_sae = (state.sae_id == sae_id, state.current_label_id.is_not(None))
    return list(session.scalars(select(state.feature_index).where(*of_sae).order_by(state.feature_index)))


def list_job_labels(
    session: Session,
    job_id: int,
    *,
    status: LabelStatus | None = None,
    cause: FailureCause | None = None,
    linted_only: bool = False,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Label]:
    """What a job said, newest first; a page goes on below the id `before_id`."""
    wanted = [LabelRow.labeling_job_id == job_id]
    if status is not None:
        wanted.append(LabelRow.status == status)
    if cause is not None:
        wanted.append(LabelRow.failure_cause == cause)
    if linted_only:
        wanted += [LabelRow.status == LabelStatus.LABELED, cast(LabelRow.lint, String) != "[]"]
    if before_id is not None:
        wanted.append(LabelRow.id < before_id)
    return list(_read_labels(session, wanted, limit))


def _read_labels(session: Session, wanted: Sequence[Any], limit: int | None) -> Iterator[Label]:
    """Labels, newest first, with what only their features' states and their templates know."""
    statement = select(LabelRow, FeatureStateRow.current_label_id).outerjoin(
        FeatureStateRow,
        (FeatureStateRow.sae_id == LabelRow.sae_id) & (FeatureStateRow.feature_index == LabelRow.feature_index),
    )
    stale = stale_versions(session)
    rows = session.execute(statement.where(*wanted).order_by(LabelRow.id.desc()).limit(limit))
    return (label_of(row, current, stale) for row, current in rows)


@dataclass(frozen=True)
class LabelingCounts:
    """What a labeling job has given so far; numbers of tokens and money are of what was paid for in it."""

    n_labeled: int
    n_abstained: int
    n_failed: int
    n_linted: int
    n_by_cause: dict[str, int]
    n_tokens_in: int
    n_tokens_out: int
    cost_micro_usd: int | None


def count_job_labels(session: Session, job_id: int) -> LabelingCounts:
    """The counts of a job's labels, as far as it is."""
    row = LabelRow
    by_kind = session.execute(
        select(row.status, row.failure_cause, func.count())
        .where(row.labeling_job_id == job_id)
        .group_by(row.status, row.failure_cause)
    ).all()
    n_of = {status: sum(n for found, _, n in by_kind if found is status) for status in LabelStatus}
    sums: Any = session.execute(
        select(
            func.coalesce(func.sum(row.n_tokens_in), 0),
            func.coalesce(func.sum(row.n_tokens_out), 0),
            func.sum(row.cost_micro_usd),
        ).where(row.labeling_job_id == job_id)
    ).one()
    labeled = (row.labeling_job_id == job_id, row.status == LabelStatus.LABELED)
    n_linted = sum(bool(lint) for lint in session.scalars(select(row.lint).where(*labeled)))
    return LabelingCounts(
        n_labeled=n_of[LabelStatus.LABELED],
        n_abstained=n_of[LabelStatus.ABSTAINED],
        n_failed=n_of[LabelStatus.FAILED],
        n_linted=n_linted,
        n_by_cause={str(cause): n for _, cause, n in by_kind if cause is not None},
        n_tokens_in=int(sums[0]),
        n_tokens_out=int(sums[1]),
        cost_micro_usd=None if sums[2] is None else int(sums[2]),
    )


@dataclass(frozen=True)
class Comparison:
    """Two jobs' newest answers feature by feature: counts over all, and a page of those that differ."""

    n_both: int
    n_same: int
    n_only_a: int
    n_only_b: int
    pairs: tuple[tuple[int, Label | None, Label | None], ...]
    next_index: int | None


def compare_jobs(
    session: Session, job_a: int, job_b: int, *, which: str = "different", limit: int = 50, after_index: int = -1
) -> Comparison:
    """How two labeling jobs answered; `which` is different, same or all. Texts are compared case-folded.

    Two abstentions are the same, and so are two failures. Raises NotFoundError for an unknown job, InputError for jobs
    of different SAEs or no labelings.
    """
    rows_a, rows_b = (_newest_by_feature(session, job_id) for job_id in (job_a, job_b))
    saes = {sae for rows in (rows_a, rows_b) for sae, _, _ in rows.values()}
    if len(saes) > 1:
        raise InputError(f"jobs {job_a} and {job_b} label different SAEs; only labels of one SAE can be compared")
    both = rows_a.keys() & rows_b.keys()
    same = {feature for feature in both if rows_a[feature][2] == rows_b[feature][2]}
    wanted = {"same": same, "all": rows_a.keys() | rows_b.keys()}.get(which, (rows_a.keys() | rows_b.keys()) - same)
    page = sorted(feature for feature in wanted if feature > after_index)[: limit + 1]
    labels = {
        row.id: row for row in _load(session, [rows[f][1] for rows in (rows_a, rows_b) for f in page if f in rows])
    }
    pairs = tuple(
        (
            feature,
            labels[rows_a[feature][1]] if feature in rows_a else None,
            labels[rows_b[feature][1]] if feature in rows_b else None,
        )
        for feature in page[:limit]
    )
    return Comparison(
        n_both=len(both),
        n_same=len(same),
        n_only_a=len(rows_a) - len(both),
        n_only_b=len(rows_b) - len(both),
        pairs=pairs,
        next_index=page[limit - 1] if len(page) > limit else None,
    )


def _newest_by_feature(session: Session, job_id: int) -> dict[int, tuple[int, int, Any]]:
    """By feature: SAE, label id, and the answer as it is compared."""
    if fetch_job_kind(session, job_id) != KIND:
        raise InputError(f"job {job_id} is no labeling; `featlas jobs ls` lists those")
    columns = (LabelRow.feature_index, LabelRow.sae_id, LabelRow.id, LabelRow.status, LabelRow.semantic_label)
    rows = session.execute(select(*columns).where(LabelRow.labeling_job_id == job_id).order_by(LabelRow.id))
    return {feature: (sae, label, (status, text and text.casefold())) for feature, sae, label, status, text in rows}


def fetch_job_kind(session: Session, job_id: int) -> str:
    """What kind of job it is; raises NotFoundError."""
    kind = session.scalar(select(JobRow.kind).where(JobRow.id == job_id)) if abs(job_id) < 2**63 else None
    if kind is None:
        raise unknown_job(job_id)
    return kind


def _load(session: Session, ids: Sequence[int]) -> Iterator[Label]:
    for at in range(0, len(ids), 500):
        yield from _read_labels(session, [LabelRow.id.in_(ids[at : at + 500])], None)
