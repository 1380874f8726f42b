"""Who works for this store: each worker says now and then that it is there, so that people see whether anybody is."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import WorkerRow, utc_now

ALIVE_LEASES = 3
"""Unseen for so many leases, a worker counts as gone."""

_KEPT_FOR = dt.timedelta(days=1)


@dataclass(frozen=True)
class Worker:
    """A process that waits for work in some queues, and when it was last heard of."""

    host: str
    pid: int
    queues: tuple[str, ...]
    code_version: str
    started_at: dt.datetime
    seen_at: dt.datetime

    def is_alive(self, lease_s: float) -> bool:
        """Whether it was heard of within three leases."""
        return utc_now() - self.seen_at <= dt.timedelta(seconds=ALIVE_LEASES * lease_s)


def see_worker(store: Store, owner: Owner, queues: Collection[str], code_version: str) -> None:
    """Write down that this worker is there now; to be called when it starts and at least once per lease.

    A worker that is new also drops the rows of those that nobody has heard of for a day: they were killed.
    """
    now = utc_now()
    with store.write() as session:
        row = session.get(WorkerRow, str(owner))
        if row is None:
            session.execute(delete(WorkerRow).where(WorkerRow.seen_at < now - _KEPT_FOR))
            started_at = dt.datetime.fromtimestamp(owner.started_s, dt.UTC)
            row = WorkerRow(owner=str(owner), started_at=started_at)
            session.add(row)
        row.queues, row.code_version, row.seen_at = sorted(queues), code_version, now


def forget_worker(store: Store, owner: Owner) -> None:
    """Take a worker that ends in order off the list."""
    with store.write() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.owner == str(owner)))


def list_workers(session: Session) -> list[Worker]:
    """All workers that were heard of within a day or so, those that started last first."""
    rows = session.scalars(select(WorkerRow).order_by(WorkerRow.started_at.desc(), WorkerRow.owner))
    return [_worker_of(row) for row in rows]


def _worker_of(row: WorkerRow) -> Worker:
    owner = Owner.parse(row.owner)
    host = owner.host.partition("/")[0]  # without the pid namespace, which means nothing to people
    return Worker(host, owner.pid, tuple(row.queues), row.code_version, row.started_at, row.seen_at)
