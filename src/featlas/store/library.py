"""What there is to look at: models, SAEs, which run of an SAE is meant, and how far its features are labeled."""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ScalarSelect, Select, and_, bindparam, case, func, select
from sqlalchemy.orm import Session

from featlas.domain import LabelSource, ReviewState, RunState, SaeOrigin
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.runs import Run, fetch_run, run_of, run_rows
from featlas.store.tables import FeatureStateRow, ModelRow, RunRow, SaeRow, SnapshotRow

_UID_PREFIX = re.compile(r"[0-9a-f-]{8,36}")
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class StoredModel:
    """A language model of the store."""

    id: int
    uid: str
    name: str
    revision: str
    source: str
    d_model: int
    n_layers: int
    created_at: dt.datetime


@dataclass(frozen=True)
class StoredSae:
    """An SAE of the store; `newest_run` is the one that is meant where none is named, None without a published one."""

    id: int
    uid: str
    name: str
    origin: SaeOrigin
    format: str
    architecture: str
    d_in: int
    d_sae: int
    hook_point: str
    source: str
    created_at: dt.datetime
    newest_run: int | None


@dataclass(frozen=True)
class StateCounts:
    """Of an SAE's features, how many have a label in force, one by a person, and one that somebody judged."""

    n_labeled: int = 0
    n_human: int = 0
    n_reviewed: int = 0


def list_models(session: Session) -> list[StoredModel]:
    """All models, newest first."""
    names = StoredModel.__dataclass_fields__
    rows = session.scalars(select(ModelRow).order_by(ModelRow.id.desc()))
    return [StoredModel(**{name: getattr(row, name) for name in names}) for row in rows]


def list_saes(session: Session) -> list[StoredSae]:
    """All SAEs, newest first."""
    return [_sae_of(found) for found in session.execute(_saes().order_by(SaeRow.id.desc()))]


def fetch_sae(session: Session, ref: str) -> StoredSae:
    """The SAE with this uid, integer id, name or start of a uid (8 characters or more), looked for in this order.

    Raises InputError where several fit, NotFoundError where none does.
    """
    conditions: list[Any] = [SaeRow.uid == ref.lower()]
    if ref.isdecimal() and len(ref) < 20 and int(ref) < 2**63:
        conditions.append(SaeRow.id == int(ref))
    conditions.append(SaeRow.name == ref)
    if _UID_PREFIX.fullmatch(ref.lower()):
        conditions.append(SaeRow.uid.startswith(ref.lower()))
    for condition in conditions:
        found = session.execute(_saes().where(condition).order_by(SaeRow.id).limit(_NAMES_SHOWN)).all()
        if len(found) == 1:
            return _sae_of(found[0])
        if found:
            uids = ", ".join(_sae_of(row).uid for row in found)
            raise InputError(f"several SAEs are meant by {ref!r}; say which by its uid: {uids}")
    names = session.scalars(select(SaeRow.name).order_by(SaeRow.id.desc()).limit(_NAMES_SHOWN)).all()
    known = f"the newest are {', '.join(names)}" if names else "there are none yet; `featlas extract` adds one"
    raise NotFoundError(f"there is no SAE {ref!r}; {known}")


def fetch_sae_and_run(session: Session, ref: str, run: str | None) -> tuple[StoredSae, Run]:
    """An SAE and a run of it, as `fetch_sae` and `fetch_run_of_sae` find them; most are found by one question."""
    if run is None:
        found = session.execute(_newest_runs(), {"uid": ref.lower()}).one_or_none()
        if found is not None:
            newest, sae, *_ = found
            return _sae_of((sae, newest.id)), run_of(found)
    of_sae = fetch_sae(session, ref)
    return of_sae, fetch_run_of_sae(session, of_sae, run)


def fetch_run_of_sae(session: Session, sae: StoredSae, ref: str | None) -> Run:
    """The named run, or the newest finished one of the SAE.

    Raises NotFoundError for a run of another SAE, ConflictError where the SAE has no published run yet.
    """
    if ref is not None:
        run = fetch_run(session, ref)
        if run.sae_id != sae.id:
            raise NotFoundError(f"run {run.name!r} is of the SAE {run.sae!r}, not of {sae.name!r}")
        return run
    if sae.newest_run is None:
        raise ConflictError(f"no run of the SAE {sae.name!r} has published anything yet; see the jobs")
    return fetch_run(session, sae.newest_run)


def count_states(session: Session, sae_ids: Collection[int]) -> dict[int, StateCounts]:
    """How far the features of each SAE are labeled and judged; SAEs of which nothing was said are left out."""
    has_label = and_(FeatureStateRow.semantic_label.is_not(None), FeatureStateRow.semantic_label != "")
    is_human = FeatureStateRow.label_source == LabelSource.HUMAN
    is_reviewed = FeatureStateRow.review_state != ReviewState.UNREVIEWED
    sums = [func.sum(case((condition, 1), else_=0)) for condition in (has_label, is_human, is_reviewed)]
    rows = session.execute(
        select(FeatureStateRow.sae_id, *sums)
        .where(FeatureStateRow.sae_id.in_(sae_ids))
        .group_by(FeatureStateRow.sae_id)
    )
    return {sae_id: StateCounts(*(int(n) for n in counts)) for sae_id, *counts in rows}


@cache
def _saes() -> Select[SaeRow, int]:
    return select(SaeRow, _newest_run())


@cache
def _newest_runs() -> Select[RunRow, SaeRow, str, str, SnapshotRow]:
    return run_rows().where(SaeRow.uid == bindparam("uid"), RunRow.id == _newest_run())


def _newest_run() -> ScalarSelect[int]:
    """The id of the newest published run of an SAE, finished ones first."""
    return (
        select(RunRow.id)
        .where(RunRow.sae_id == SaeRow.id, RunRow.current_snapshot_id.is_not(None))
        .order_by((RunRow.state == RunState.FINISHED).desc(), RunRow.finished_at.desc(), RunRow.id.desc())
        .limit(1)
        .correlate(SaeRow)
        .scalar_subquery()
    )


def _sae_of(found: Any) -> StoredSae:
    row, newest_run = found
    names = StoredSae.__dataclass_fields__.keys() - {"newest_run"}
    return StoredSae(**{name: getattr(row, name) for name in names}, newest_run=newest_run)
