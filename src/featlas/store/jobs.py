"""The one place that moves a job from state to state, so that two workers never both have it.

A worker holds a `Lease`: job, attempt, owner. Every write of a worker carries `WHERE id AND attempt AND lease_owner`,
and every way back into the queue raises the attempt, so a worker that lost its lease can change nothing any more.
Times are this machine's clock; hosts that share a database keep theirs in step to well within a lease.
"""

import datetime as dt
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from featlas import __version__
from featlas.domain import JobState
from featlas.errors import ConflictError, ExternalError
from featlas.specs import Spec
from featlas.store.job_views import ENDED, Job, job_of, refuse_impossible, unknown_job
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import JobEventRow, JobRow, utc_now
from featlas.store.uids import new_uid

MOST_RINGS = 100
"""Most bells rung at once for one queue; more follow in the next round."""

RESUMABLE = (JobState.PAUSED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Lease:
    """The right to work on a job: good while the row still has this attempt and owner and is running."""

    job_id: int
    attempt: int
    owner: str


@dataclass(frozen=True)
class Requests:
    """What somebody asked of a running job."""

    cancel: bool
    pause: bool


def enqueue(store: Store, kind: str, spec: Spec) -> Job:
    """Add a job to the queue of its kind; its first attempt is number 1."""
    with store.write() as session:
        row = JobRow(
            uid=new_uid(),
            kind=kind,
            spec=spec.model_dump(mode="json"),
            spec_hash=spec.content_hash(),
            queue=spec.queue,
            attempt=1,
            code_version=__version__,
        )
        session.add(row)
        session.flush()
        _append_event(session, row.id, "queued", {"attempt": 1})
        return job_of(row)


def claim(store: Store, owner: Owner, lease_s: float, *, job_id: int) -> tuple[Job, Lease]:
    """Take a queued job; raises ConflictError where it is not queued, NotFoundError where it is not at all."""
    with store.write() as session:
        row = _locked(session, job_id)
        if row.state is not JobState.QUEUED:
            raise ConflictError(f"job {job_id} is {row.state}; only a queued job can be started")
        now = utc_now()
        row.state = JobState.RUNNING
        row.lease_owner = str(owner)
        row.lease_until = now + dt.timedelta(seconds=lease_s)
        row.heartbeat_at = row.started_at = now
        session.flush()
        _append_event(session, job_id, "started", {"attempt": row.attempt, "owner": str(owner)})
        return job_of(row), Lease(job_id, row.attempt, str(owner))


def heartbeat(store: Store, lease: Lease, lease_s: float, progress: dict[str, Any] | None = None) -> Requests:
    """Extend the lease, save progress where given, and learn what is asked. Raises ConflictError for a lost lease."""
    now = utc_now()
    values: dict[str, Any] = {"heartbeat_at": now, "lease_until": now + dt.timedelta(seconds=lease_s)}
    if progress is not None:
        values["progress"] = progress
    with store.write() as session:
        _update_held(session, lease, values)
        row = session.execute(select(JobRow.cancel_requested, JobRow.pause_requested).where(JobRow.id == lease.job_id))
        cancel, pause = row.one()
        return Requests(cancel, pause)


def succeed(store: Store, lease: Lease, result: dict[str, Any], progress: dict[str, Any] | None = None) -> None:
    """running → succeeded."""
    _end(store, lease, JobState.SUCCEEDED, {"result": result, "progress": progress}, {"result": result})


def fail(store: Store, lease: Lease, error_class: str, message: str, progress: dict[str, Any] | None = None) -> None:
    """running → failed, with the error as the CLI and the API show it."""
    error = {"error_class": error_class, "error_message": message}
    _end(store, lease, JobState.FAILED, {**error, "progress": progress}, error)


def cancel(store: Store, lease: Lease, progress: dict[str, Any] | None = None) -> None:
    """running → cancelled, by the worker that was asked to."""
    _end(store, lease, JobState.CANCELLED, {"progress": progress}, None)


def pause(store: Store, lease: Lease, progress: dict[str, Any] | None = None) -> None:
    """running → paused, by the worker that was asked to."""
    _end(store, lease, JobState.PAUSED, {"progress": progress}, None)


def request_cancel(store: Store, job_id: int) -> Job:
    """Ask a running job to stop for good; one that nobody works on is cancelled at once. ConflictError if it ended."""
    with store.write() as session:
        row = _locked(session, job_id)
        if row.state in ENDED:
            raise ConflictError(f"job {job_id} is {row.state}; only a queued, running or paused job can be cancelled")
        if row.state is JobState.RUNNING:
            if not row.cancel_requested:
                row.cancel_requested = True
                _append_event(session, job_id, "cancel_requested", None)
        else:
            _put_to_rest(session, row, JobState.CANCELLED)
        session.flush()
        return job_of(row)


def request_pause(store: Store, job_id: int) -> Job:
    """Ask a running job to stop for now; raises ConflictError for any other."""
    with store.write() as session:
        row = _locked(session, job_id)
        if row.state is not JobState.RUNNING:
            raise ConflictError(f"job {job_id} is {row.state}; only a running job can be paused")
        if row.cancel_requested:
            raise ConflictError(f"job {job_id} is being cancelled; it cannot be paused any more")
        if not row.pause_requested:
            row.pause_requested = True
            _append_event(session, job_id, "pause_requested", None)
        session.flush()
        return job_of(row)


def resume(store: Store, job_id: int) -> Job:
    """paused | failed | cancelled → queued, as the next attempt; raises ConflictError for any other state."""
    with store.write() as session:
        row = _locked(session, job_id)
        if row.state not in RESUMABLE:
            raise ConflictError(f"job {job_id} is {row.state}; only a paused, failed or cancelled job can be resumed")
        _requeue(session, row, "resumed", {})
        return job_of(row)


def take_back(store: Store, lease: Lease, *, max_crashes: int | None = None) -> Job:
    """Free a job whose worker died: running → queued, as the next attempt, or to rest where that was asked of it.

    With `max_crashes` this death counts as a crash, and that many crashes in a row without progress in between end in
    `failed`. Raises ConflictError where the lease is no longer held.
    """
    with store.write() as session:
        row = _locked(session, lease.job_id)
        if not _holds(row, lease):
            raise _lost(lease)
        if row.cancel_requested or row.pause_requested:
            _put_to_rest(session, row, JobState.CANCELLED if row.cancel_requested else JobState.PAUSED)
            return job_of(row)
        progress = _progress_mark(row.progress)
        n_crashes = 1 + _count_crashes(session, row.id, progress)
        if max_crashes is not None and n_crashes >= max_crashes:
            row.error_class = "WorkerCrash"
            row.error_message = f"the worker died {n_crashes} times in a row without getting any further"
            _put_to_rest(session, row, JobState.FAILED)
        else:
            kind = "lost" if max_crashes is None else "crashed"
            _requeue(session, row, kind, {"owner": lease.owner, "progress": progress})
        return job_of(row)


def count_failed_start(store: Store, job_id: int, attempt: int, why: str, *, max_failures: int) -> Job:
    """Note that a process ended before it could take a queued job; so many in a row end the job in `failed`.

    Nothing where the job was taken or changed since; returns its row.
    """
    with store.write() as session:
        row = _locked(session, job_id)
        if row.state is not JobState.QUEUED or row.attempt != attempt:
            return job_of(row)
        n_failures = 1 + _count_failed_starts(session, job_id)
        _append_event(session, job_id, "not_started", {"why": why})
        if n_failures >= max_failures:
            row.error_class, row.error_message = ExternalError.__name__, why
            _put_to_rest(session, row, JobState.FAILED)
        return job_of(row)


def reconcile(store: Store) -> list[Job]:
    """Free every running job whose lease ran out or whose owner, a process of this host, is dead; returns those freed.

    To be called when a worker, a server or a command starts, and now and then.
    """
    with store.read() as session:
        running = [job_of(row) for row in session.scalars(select(JobRow).where(JobRow.state == JobState.RUNNING))]
    freed = []
    for job in running:
        if job.is_silent or Owner.parse(job.lease_owner or "").is_known_dead:
            try:
                freed.append(take_back(store, Lease(job.id, job.attempt, job.lease_owner or "")))
            except ConflictError:
                continue  # somebody else was quicker
    return freed


def choose_rings(store: Store, n_bells: dict[str, int], *, quiet_s: float) -> list[tuple[int, str]]:
    """Queued jobs that must be rung for, as (job, queue), marked as rung: more wait than bells lie in their queue.

    `n_bells` is how many bells lie in each queue that was looked at. Jobs rung for in the last `quiet_s` are left
    alone, because their bell may be in a worker's hand. Two who choose at once never choose the same job.
    """
    chosen: list[tuple[int, str]] = []
    with store.write() as session:
        for queue, n in n_bells.items():
            waiting = select(JobRow.id).where(JobRow.state == JobState.QUEUED, JobRow.queue == queue)
            ids = session.scalars(waiting.order_by(JobRow.queued_at, JobRow.id).limit(n + MOST_RINGS)).all()
            chosen += [(job_id, queue) for job_id in _mark_rung(session, ids[: len(ids) - n], quiet_s)]
    return chosen


def note_ring(store: Store, job_id: int) -> None:
    """Remember that the broker was told of a job just now."""
    with store.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(rung_at=utc_now()))


def _mark_rung(session: Session, job_ids: Collection[int], quiet_s: float) -> list[int]:
    now = utc_now()
    is_due = or_(JobRow.rung_at.is_(None), JobRow.rung_at < now - dt.timedelta(seconds=quiet_s))
    statement = update(JobRow).where(JobRow.id.in_(job_ids), JobRow.state == JobState.QUEUED, is_due)
    return sorted(session.scalars(statement.values(rung_at=now).returning(JobRow.id)))


def make_guard(lease: Lease) -> Callable[[Session], None]:
    """A check for writers of results: called in their transaction, raises ConflictError unless the lease is still held.

    The row stays locked to the end of the transaction, so the job cannot be given to another before the results are in.
    """

    def guard(session: Session) -> None:
        held = select(JobRow.id).where(*_held(lease)).with_for_update(read=True)
        if session.scalars(held).one_or_none() is None:
            raise _lost(lease)

    return guard


def _locked(session: Session, job_id: int) -> JobRow:
    """The row, locked until the transaction ends (on SQLite every write session locks all)."""
    refuse_impossible(job_id)
    row = session.scalars(select(JobRow).where(JobRow.id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise unknown_job(job_id)
    return row


def _lost(lease: Lease) -> ConflictError:
    return ConflictError(
        f"job {lease.job_id} is no longer ours (attempt {lease.attempt} of {lease.owner}): it was taken over or ended"
    )


def _held(lease: Lease) -> tuple[Any, ...]:
    return (
        JobRow.id == lease.job_id,
        JobRow.attempt == lease.attempt,
        JobRow.lease_owner == lease.owner,
        JobRow.state == JobState.RUNNING,
    )


def _holds(row: JobRow, lease: Lease) -> bool:
    return (row.state, row.attempt, row.lease_owner) == (JobState.RUNNING, lease.attempt, lease.owner)


def _update_held(session: Session, lease: Lease, values: dict[str, Any]) -> None:
    changed = session.execute(update(JobRow).where(*_held(lease)).values(**values).returning(JobRow.id)).all()
    if not changed:
        raise _lost(lease)


def _end(store: Store, lease: Lease, state: JobState, values: dict[str, Any], payload: dict[str, Any] | None) -> None:
    if values.get("progress") is None:
        values = {name: value for name, value in values.items() if name != "progress"}
    with store.write() as session:
        _update_held(session, lease, {**values, **_rest_values(state)})
        _append_event(session, lease.job_id, state.value, payload)


def _rest_values(state: JobState) -> dict[str, Any]:
    return {
        "state": state,
        "lease_owner": None,
        "lease_until": None,
        "cancel_requested": False,
        "pause_requested": False,
        "finished_at": utc_now() if state in ENDED else None,
    }


def _put_to_rest(session: Session, row: JobRow, state: JobState) -> None:
    for name, value in _rest_values(state).items():
        setattr(row, name, value)
    session.flush()
    payload = None if row.error_class is None else {"error_class": row.error_class, "error_message": row.error_message}
    _append_event(session, row.id, state.value, payload if state is JobState.FAILED else None)


def _requeue(session: Session, row: JobRow, why: str, payload: dict[str, Any]) -> None:
    for name, value in _rest_values(JobState.QUEUED).items():
        setattr(row, name, value)
    row.attempt += 1
    row.queued_at = utc_now()
    row.rung_at = None
    row.error_class = row.error_message = None
    session.flush()
    _append_event(session, row.id, why, {"attempt": row.attempt, **payload})


def _progress_mark(progress: dict[str, Any] | None) -> list[Any]:
    return [(progress or {}).get(name) for name in ("phase", "done")]


def _count_crashes(session: Session, job_id: int, progress: list[Any]) -> int:
    """How many crashes in a row came before this one at the same point of progress."""
    query = select(JobEventRow.kind, JobEventRow.payload).where(JobEventRow.job_id == job_id)
    n_crashes = 0
    for kind, payload in session.execute(query.order_by(JobEventRow.seq.desc()).limit(200)):
        if kind == "crashed" and (payload or {}).get("progress") == progress:
            n_crashes += 1
        elif kind != "started":
            break
    return n_crashes


def _count_failed_starts(session: Session, job_id: int) -> int:
    """How many processes in a row could not take the job."""
    kinds = select(JobEventRow.kind).where(JobEventRow.job_id == job_id).order_by(JobEventRow.seq.desc()).limit(200)
    return sum(1 for _ in itertools.takewhile(lambda kind: kind == "not_started", session.scalars(kinds)))


def _append_event(session: Session, job_id: int, kind: str, payload: dict[str, Any] | None) -> None:
    """Call it after the job's row was locked or changed in this transaction, or two events could get one number."""
    last = session.scalar(select(func.max(JobEventRow.seq)).where(JobEventRow.job_id == job_id))
    session.add(JobEventRow(job_id=job_id, seq=(last or 0) + 1, kind=kind, payload=payload))
    session.flush()
