"""Runs: making one, and finding it again by id, name or the start of its uid."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import Select, exc, select, update
from sqlalchemy.orm import Session

from featlas.domain import RunState, SnapshotHeader
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.blobs import unpack_array
from featlas.store.bulk import Guard, no_guard
from featlas.store.plain import plain_json
from featlas.store.session import Store
from featlas.store.tables import CorpusRow, ModelRow, RunRow, SaeRow, SnapshotRow
from featlas.store.uids import new_uid

_NAMES_SHOWN = 5
_UID_PREFIX = re.compile(r"[0-9a-f-]{1,36}")


@dataclass(frozen=True)
class RunFacts:
    """What a run is of: its inputs' ids, its spec, and how it is computed (`recipe`); an empty name makes one."""

    model_id: int
    sae_id: int
    corpus_id: int
    spec: Mapping[str, Any]
    spec_hash: str
    name: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    self_check: Mapping[str, Any] | None = None
    is_forced: bool = False
    job_id: int | None = None


@dataclass(frozen=True)
class Run:
    """An extraction as lists and headers show it.

    `n_features` counts the SAE's own features, without null ones. `hook_point` is where this run read the model, which
    need not be where the SAE's files say. `header` is of the current snapshot; both `snapshot_id` and `header` are None
    until one is published.
    """

    id: int
    uid: str
    name: str
    state: RunState
    model: str
    sae: str
    sae_id: int
    corpus: str
    hook_point: str
    n_features: int
    snapshot_id: int | None
    header: SnapshotHeader | None
    spec: Mapping[str, Any]
    spec_hash: str
    recipe: Mapping[str, Any]
    self_check: Mapping[str, Any] | None
    is_forced: bool
    job_id: int | None
    created_at: dt.datetime
    finished_at: dt.datetime | None


def create_run(store: Store, facts: RunFacts, guard: Guard = no_guard) -> Run:
    """Add a pending run; raises ConflictError where the name is taken, InputError for a name of digits only."""
    if facts.name.isdecimal():
        raise InputError(f"a run cannot be named {facts.name!r}: digits alone mean a run's number; add a letter")
    uid = new_uid()
    try:
        with store.write() as session:
            guard(session)
            row = RunRow(
                uid=uid,
                name=facts.name or _made_name(session, facts.sae_id, uid),
                model_id=facts.model_id,
                sae_id=facts.sae_id,
                corpus_id=facts.corpus_id,
                extraction_job_id=facts.job_id,
                spec=plain_json(facts.spec),
                spec_hash=facts.spec_hash,
                recipe=plain_json(facts.recipe),
                self_check=plain_json(facts.self_check),
                forced=facts.is_forced,
            )
            session.add(row)
            session.flush()
            return fetch_run(session, row.id)
    except exc.IntegrityError as error:
        if "name" not in str(error.orig):
            raise
        raise ConflictError(f"a run named {facts.name!r} exists already; choose another name") from error


def assign_job(store: Store, run_id: int, job_id: int, guard: Guard = no_guard) -> None:
    """Say which job works on the run now, after a resume for example."""
    with store.write() as session:
        guard(session)
        session.execute(update(RunRow).where(RunRow.id == run_id).values(extraction_job_id=job_id))


def fetch_run(session: Session, ref: int | str) -> Run:
    """The run with this integer id, exact name or start of a uid, looked for in this order.

    Raises InputError where several uids start so, NotFoundError where nothing fits.
    """
    text = str(ref)
    if text.isdecimal() and len(text) < 20 and int(text) < 2**63:
        found = session.execute(run_rows().where(RunRow.id == int(text))).one_or_none()
        if found is not None:
            return run_of(found)
    found = session.execute(run_rows().where(RunRow.name == text)).one_or_none()
    if found is not None:
        return run_of(found)
    return _fetch_by_uid(session, text)


def list_runs(session: Session, *, limit: int | None = None, before_id: int | None = None) -> list[Run]:
    """Runs, newest first; a page goes on below the id `before_id`."""
    statement = run_rows().order_by(RunRow.id.desc()).limit(limit)
    if before_id is not None:
        statement = statement.where(RunRow.id < before_id)
    return [run_of(found) for found in session.execute(statement)]


def find_runs(session: Session, spec_hash: str) -> list[Run]:
    """Runs of exactly this spec, newest first."""
    statement = run_rows().where(RunRow.spec_hash == spec_hash).order_by(RunRow.id.desc())
    return [run_of(found) for found in session.execute(statement)]


def find_pending_runs(session: Session, job_id: int) -> list[Run]:
    """Runs that this job began and has not finished, newest first."""
    of_job = (RunRow.extraction_job_id == job_id, RunRow.state == RunState.PENDING)
    return [run_of(found) for found in session.execute(run_rows().where(*of_job).order_by(RunRow.id.desc()))]


def _fetch_by_uid(session: Session, text: str) -> Run:
    found = []
    if _UID_PREFIX.fullmatch(text.lower()):
        statement = run_rows().where(RunRow.uid.startswith(text.lower())).order_by(RunRow.id).limit(_NAMES_SHOWN)
        found = session.execute(statement).all()
    if len(found) == 1:
        return run_of(found[0])
    if found:
        uids = ", ".join(run_of(row).uid for row in found)
        raise InputError(f"several runs have a uid that starts with {text!r}: {uids}; give more of it")
    names = session.scalars(select(RunRow.name).order_by(RunRow.id.desc()).limit(_NAMES_SHOWN)).all()
    known = f"the newest runs are {', '.join(names)}" if names else "there are no runs yet; `featlas extract` makes one"
    raise NotFoundError(f"no run has the number, name or uid {text!r}; {known}")


def _made_name(session: Session, sae_id: int, uid: str) -> str:
    name = session.scalars(select(SaeRow.name).where(SaeRow.id == sae_id)).one_or_none() or "run"
    slug = re.sub(r"[^\w.-]+", "-", name.rsplit("/", 1)[-1]).strip("-") or "run"
    # The last characters of a uid are chance, so the name is free without looking.
    return f"{slug[:200]}-{uid[-6:]}"


@cache  # every answer asks for its run, and to write the question takes longer than to answer it
def run_rows() -> Select[RunRow, SaeRow, str, str, SnapshotRow]:
    """All runs with what `run_of` needs of them."""
    return (
        select(RunRow, SaeRow, ModelRow.name, CorpusRow.name, SnapshotRow)
        .join(SaeRow, SaeRow.id == RunRow.sae_id)
        .join(ModelRow, ModelRow.id == RunRow.model_id)
        .join(CorpusRow, CorpusRow.id == RunRow.corpus_id)
        .outerjoin(SnapshotRow, SnapshotRow.id == RunRow.current_snapshot_id)
    )


def run_of(found: Any) -> Run:
    """A row of `run_rows` as a run."""
    row, sae, model, corpus, snapshot = found
    return Run(
        id=row.id,
        uid=row.uid,
        name=row.name,
        state=row.state,
        model=model,
        sae=sae.name,
        sae_id=sae.id,
        corpus=corpus,
        hook_point=row.recipe.get("hook_point") or sae.hook_point,
        n_features=sae.d_sae,
        snapshot_id=row.current_snapshot_id,
        header=None if snapshot is None else _header_of(snapshot),
        spec=row.spec,
        spec_hash=row.spec_hash,
        recipe=row.recipe,
        self_check=row.self_check,
        is_forced=row.forced,
        job_id=row.extraction_job_id,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _header_of(snapshot: SnapshotRow) -> SnapshotHeader:
    return SnapshotHeader(
        is_partial=snapshot.is_partial,
        n_features=snapshot.n_features,
        n_documents=snapshot.n_documents,
        n_contexts=snapshot.n_contexts,
        n_positions=snapshot.n_positions,
        n_tokens=snapshot.n_tokens,
        n_excluded=snapshot.n_excluded,
        histogram_edges=unpack_array(snapshot.histogram_edges, "<f8"),
        quality=snapshot.quality,
        position_n_tokens=None if snapshot.position_n_tokens is None else np.array(snapshot.position_n_tokens),
    )
