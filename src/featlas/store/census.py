"""What goes on in the store, in a few numbers that are cheap to read again and again: for those who watch over it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import BigInteger, cast, func, or_, select
from sqlalchemy.orm import Session

from featlas.domain import JobState
from featlas.store.session import Store
from featlas.store.tables import JobRow, utc_now
from featlas.store.workers import list_workers


@dataclass(frozen=True)
class Census:
    """Jobs, workers and what labelings cost, at one moment.

    `jobs` by kind and state; `waiting_s` is how long the oldest queued job of each queue has waited; `n_silent` counts
    running jobs whose lease ran out; `workers` that are alive, by queue and version (one in two queues counts in both).
    Tokens and micro-dollars are those of labelings that came to their end.
    """

    jobs: Mapping[tuple[str, str], int]
    waiting_s: Mapping[str, float]
    n_silent: int
    workers: Mapping[tuple[str, str], int]
    n_tokens_in: int
    n_tokens_out: int
    cost_micro_usd: int


def take_census(store: Store, lease_s: float) -> Census:
    """Count all of it in one session; `lease_s` decides who is alive."""
    with store.read() as session:
        tokens_in, tokens_out, cost = _spent(session)
        return Census(
            jobs=_count_jobs(session),
            waiting_s=_longest_waits(session),
            n_silent=_count_silent(session),
            workers=_count_workers(session, lease_s),
            n_tokens_in=tokens_in,
            n_tokens_out=tokens_out,
            cost_micro_usd=cost,
        )


def _count_jobs(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state))
    return {(kind, state.value): n for kind, state, n in rows}


def _longest_waits(session: Session) -> dict[str, float]:
    oldest = select(JobRow.queue, func.min(JobRow.queued_at)).where(JobRow.state == JobState.QUEUED)
    now = utc_now()
    rows = session.execute(oldest.group_by(JobRow.queue))
    return {queue: max(0.0, (now - since) / dt.timedelta(seconds=1)) for queue, since in rows}


def _count_silent(session: Session) -> int:
    is_silent = or_(JobRow.lease_until.is_(None), JobRow.lease_until < utc_now())
    return session.scalar(select(func.count()).where(JobRow.state == JobState.RUNNING, is_silent)) or 0


def _count_workers(session: Session, lease_s: float) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for worker in list_workers(session):
        if worker.is_alive(lease_s):
            for queue in worker.queues:
                key = (queue, worker.code_version)
                counts[key] = counts.get(key, 0) + 1
    return counts


def _spent(session: Session) -> tuple[int, int, int]:
    """Out of the few results of jobs, not the many answers, which would have to be read through."""
    names = ("n_tokens_in", "n_tokens_out", "cost_micro_usd")
    sums = [func.coalesce(func.sum(cast(JobRow.result[name].as_string(), BigInteger)), 0) for name in names]
    row = session.execute(select(*sums).where(JobRow.kind == "labeling", JobRow.result.is_not(None))).one()
    return int(row[0]), int(row[1]), int(row[2])
