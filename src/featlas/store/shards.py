"""The shares of a running job: ranges of its blocks, each held by one process at a time and taken over from a dead one.

A shard's files are whole or absent and the same whoever makes them, so a shard that two processes make is only work
done twice: the lease here saves work, it does not guard results.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from featlas.domain import JobState
from featlas.errors import ConflictError
from featlas.store.bulk import Guard
from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import JobRow, JobShardRow, utc_now

_ALIVE = (JobState.RUNNING, JobState.QUEUED)
"""A job that changes hands is queued for a moment; who helps with it goes on."""


@dataclass(frozen=True)
class Shard:
    """A share that was taken: `attempt` says by which taking."""

    job_id: int
    shard_index: int
    blocks: range
    attempt: int
    owner: str


def lay_out_shards(store: Store, guard: Guard, job_id: int, plan_key: str, shards: Sequence[range]) -> None:
    """Offer the shares of a job's plan, unless an earlier attempt has; what there is of another plan goes."""
    of_job = JobShardRow.job_id == job_id
    with store.write() as session:
        guard(session)
        session.execute(delete(JobShardRow).where(of_job, JobShardRow.plan_key != plan_key))
        if session.scalar(select(func.count()).where(of_job)):
            return
        session.add_all(
            JobShardRow(
                job_id=job_id, shard_index=index, plan_key=plan_key, first_block=blocks.start, n_blocks=len(blocks)
            )
            for index, blocks in enumerate(shards)
        )


def claim_shard(store: Store, job_id: int, plan_key: str, owner: Owner, lease_s: float) -> Shard | None:
    """The first share of a job that nobody alive holds; None where there is none, or the job is over."""
    for seen in _list_open(store, job_id, plan_key):
        is_free = seen.lease_owner is None or seen.lease_until is None or seen.lease_until < utc_now()
        if not is_free and not Owner.parse(seen.lease_owner or "").is_known_dead:
            continue
        until = utc_now() + dt.timedelta(seconds=lease_s)
        values = {"attempt": seen.attempt + 1, "lease_owner": str(owner), "lease_until": until}
        key = (JobShardRow.job_id == job_id, JobShardRow.shard_index == seen.shard_index)
        unchanged = (JobShardRow.attempt == seen.attempt, JobShardRow.finished_at.is_(None))
        with store.write() as session:
            taken = session.execute(
                update(JobShardRow).where(*key, *unchanged).values(**values).returning(JobShardRow.shard_index)
            )
            if taken.one_or_none() is not None:
                blocks = range(seen.first_block, seen.first_block + seen.n_blocks)
                return Shard(job_id, seen.shard_index, blocks, seen.attempt + 1, str(owner))
    return None


def has_free_shard(store: Store, job_id: int) -> bool:
    """Whether a helper would find something to do, by the leases' times alone."""
    open_ = (JobShardRow.job_id == job_id, JobShardRow.finished_at.is_(None))
    is_free = JobShardRow.lease_until.is_(None) | (JobShardRow.lease_until < utc_now())
    with store.read() as session:
        if session.scalar(select(JobRow.state).where(JobRow.id == job_id)) is not JobState.RUNNING:
            return False
        return session.scalar(select(JobShardRow.shard_index).where(*open_, is_free).limit(1)) is not None


def keep_shard(store: Store, shard: Shard, lease_s: float) -> None:
    """Extend the lease; raises ConflictError where the share was taken over or its job is over."""
    until = utc_now() + dt.timedelta(seconds=lease_s)
    with store.write() as session:
        _update_held(session, shard, {"lease_until": until})
        state = session.scalar(select(JobRow.state).where(JobRow.id == shard.job_id))
        if state not in _ALIVE:
            raise ConflictError(f"job {shard.job_id} is {state}; its share {shard.shard_index} is not needed any more")


def finish_shard(store: Store, shard: Shard) -> None:
    """All of its blocks are there; raises ConflictError where it was taken over."""
    with store.write() as session:
        _update_held(session, shard, {"finished_at": utc_now(), "lease_owner": None, "lease_until": None})


def release_shard(store: Store, shard: Shard) -> None:
    """Somebody else may take it now; nothing where that has happened already."""
    with store.write() as session:
        session.execute(update(JobShardRow).where(*_held(shard)).values(lease_owner=None, lease_until=None))


def list_finished_shards(store: Store, job_id: int) -> dict[int, range]:
    """The blocks of each share that is done, by the share's index."""
    row = JobShardRow
    query = select(row.shard_index, row.first_block, row.n_blocks).where(
        row.job_id == job_id, row.finished_at.is_not(None)
    )
    with store.read() as session:
        return {index: range(first, first + n) for index, first, n in session.execute(query)}


def count_open_shards(store: Store, job_id: int) -> int:
    """How many shares are not done."""
    with store.read() as session:
        query = select(func.count()).where(JobShardRow.job_id == job_id, JobShardRow.finished_at.is_(None))
        return session.scalar(query) or 0


def _list_open(store: Store, job_id: int, plan_key: str) -> Sequence[JobShardRow]:
    row = JobShardRow
    query = select(row).where(row.job_id == job_id, row.plan_key == plan_key, row.finished_at.is_(None))
    with store.read() as session:
        if session.scalar(select(JobRow.state).where(JobRow.id == job_id)) is not JobState.RUNNING:
            return []
        return session.scalars(query.order_by(row.shard_index)).all()


def _held(shard: Shard) -> tuple[Any, ...]:
    row = JobShardRow
    key = (row.job_id == shard.job_id, row.shard_index == shard.shard_index)
    return (*key, row.attempt == shard.attempt, row.lease_owner == shard.owner)


def _update_held(session: Session, shard: Shard, values: dict[str, Any]) -> None:
    changed = session.execute(
        update(JobShardRow).where(*_held(shard)).values(**values).returning(JobShardRow.shard_index)
    )
    if changed.one_or_none() is None:
        raise ConflictError(f"share {shard.shard_index} of job {shard.job_id} was taken over")
