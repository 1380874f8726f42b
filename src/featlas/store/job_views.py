"""Jobs as they are read: one, the next, a page of them, what happened to them."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import JobState
from featlas.errors import NotFoundError
from featlas.specs import QUEUES
from featlas.store.session import Store
from featlas.store.tables import JobEventRow, JobRow, utc_now

ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job row as it was at one moment."""

    id: int
    uid: str
    kind: str
    spec: dict[str, Any]
    spec_hash: str
    state: JobState
    queue: str
    attempt: int
    lease_owner: str | None
    lease_until: dt.datetime | None
    cancel_requested: bool
    pause_requested: bool
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error_class: str | None
    error_message: str | None
    code_version: str | None
    created_at: dt.datetime
    queued_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing happens to it until somebody asks: ended or paused."""
        return self.state in (*ENDED, JobState.PAUSED)

    @property
    def is_silent(self) -> bool:
        """Whether it is running under a lease that has ended."""
        return self.state is JobState.RUNNING and (self.lease_until is None or self.lease_until < utc_now())


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job; `seq` counts from 1 within the job."""

    job_id: int
    seq: int
    at: dt.datetime
    kind: str
    payload: dict[str, Any] | None


def fetch_job(store: Store, job_id: int) -> Job:
    """One job; raises NotFoundError."""
    refuse_impossible(job_id)
    with store.read() as session:
        row = session.get(JobRow, job_id)
        if row is None:
            raise unknown_job(job_id)
        return job_of(row)


def refuse_impossible(job_id: int) -> None:
    """Raise NotFoundError for a number that a database cannot compare with."""
    if abs(job_id) >= 2**63:
        raise unknown_job(job_id)


def find_unfinished(store: Store, kind: str, spec_hash: str) -> Job | None:
    """The newest job of this kind and spec that has not succeeded; None without one."""
    query = select(JobRow).where(JobRow.kind == kind, JobRow.spec_hash == spec_hash, JobRow.state != JobState.SUCCEEDED)
    with store.read() as session:
        row = session.scalars(query.order_by(JobRow.id.desc()).limit(1)).one_or_none()
        return None if row is None else job_of(row)


def has_succeeded(store: Store, kind: str, spec_hash: str) -> bool:
    """Whether a job of this kind and spec has come to its end."""
    query = select(JobRow.id).where(JobRow.kind == kind, JobRow.spec_hash == spec_hash)
    with store.read() as session:
        return session.scalars(query.where(JobRow.state == JobState.SUCCEEDED).limit(1)).one_or_none() is not None


def list_jobs(
    store: Store, *, states: Collection[JobState] = (), kind: str = "", limit: int = 50, before_id: int | None = None
) -> list[Job]:
    """Jobs, newest first: those before job `before_id`, of these states and this kind where given."""
    query = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
    if states:
        query = query.where(JobRow.state.in_(states))
    if kind:
        query = query.where(JobRow.kind == kind)
    if before_id is not None:
        query = query.where(JobRow.id < before_id)
    with store.read() as session:
        return [job_of(row) for row in session.scalars(query)]


def list_jobs_by_id(session: Session, job_ids: Collection[int]) -> dict[int, Job]:
    """These jobs, those that exist, by id."""
    return {row.id: job_of(row) for row in session.scalars(select(JobRow).where(JobRow.id.in_(job_ids)))}


def list_events(store: Store, job_id: int, *, after_seq: int = 0, limit: int = 1000) -> list[JobEvent]:
    """What happened to a job after event `after_seq`, oldest first."""
    query = select(JobEventRow).where(JobEventRow.job_id == job_id, JobEventRow.seq > after_seq)
    with store.read() as session:
        rows = session.scalars(query.order_by(JobEventRow.seq).limit(limit))
        return [JobEvent(row.job_id, row.seq, row.at, row.kind, row.payload) for row in rows]


def find_queued(store: Store, queues: Collection[str] = QUEUES, waited_s: float = 0) -> Job | None:
    """The job that has waited longest in these queues, and at least so long; None where there is none."""
    query = select(JobRow).where(JobRow.state == JobState.QUEUED, JobRow.queue.in_(queues))
    if waited_s:
        query = query.where(JobRow.queued_at < utc_now() - dt.timedelta(seconds=waited_s))
    with store.read() as session:
        row = session.scalars(query.order_by(JobRow.queued_at, JobRow.id).limit(1)).one_or_none()
        return None if row is None else job_of(row)


def job_of(row: JobRow) -> Job:
    """The row as it is now, free of its session."""
    return Job(**{name: getattr(row, name) for name in Job.__dataclass_fields__})


def unknown_job(job_id: int) -> NotFoundError:
    """The error for a job that is not there."""
    return NotFoundError(f"there is no job {job_id}; `featlas jobs ls` lists what there is")
