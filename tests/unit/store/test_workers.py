"""Workers on both databases: seen, seen again, gone in order, and dropped a day after they were killed."""

import datetime as dt
from dataclasses import replace

from sqlalchemy import update

from featlas.store.lease_owner import Owner
from featlas.store.session import Store
from featlas.store.tables import WorkerRow, utc_now
from featlas.store.workers import Worker, forget_worker, list_workers, see_worker

ME = Owner.of_this_process()
OTHER = Owner("other/pid:[1]", 12, 1_000_000_000.0)


def _workers(store: Store) -> list[Worker]:
    with store.read() as session:
        return list_workers(session)


def _seen_before(store: Store, owner: Owner, ago: dt.timedelta) -> None:
    with store.write() as session:
        session.execute(update(WorkerRow).where(WorkerRow.owner == str(owner)).values(seen_at=utc_now() - ago))


def test_a_worker_is_listed_by_host_and_pid(store: Store):
    see_worker(store, OTHER, {"labeling", "extraction"}, "0.1.0")
    (worker,) = _workers(store)
    assert (worker.host, worker.pid, worker.queues) == ("other", 12, ("extraction", "labeling"))
    assert (worker.code_version, worker.started_at.timestamp()) == ("0.1.0", 1_000_000_000.0)
    assert worker.is_alive(lease_s=30)


def test_a_worker_seen_again_stays_one(store: Store):
    see_worker(store, ME, ["default"], "0.1.0")
    _seen_before(store, ME, dt.timedelta(minutes=10))
    assert not _workers(store)[0].is_alive(lease_s=30)
    see_worker(store, ME, ["light"], "0.2.0")
    (worker,) = _workers(store)
    assert (worker.queues, worker.code_version) == (("light",), "0.2.0")
    assert worker.is_alive(lease_s=30)


def test_a_worker_counts_as_alive_for_three_leases(store: Store):
    see_worker(store, ME, ["default"], "0.1.0")
    (worker,) = _workers(store)
    ago = replace(worker, seen_at=utc_now() - dt.timedelta(seconds=80))
    assert ago.is_alive(lease_s=30)
    assert not ago.is_alive(lease_s=20)


def test_a_worker_that_ends_in_order_is_gone(store: Store):
    see_worker(store, ME, ["default"], "0.1.0")
    see_worker(store, OTHER, ["default"], "0.1.0")
    forget_worker(store, ME)
    assert [worker.host for worker in _workers(store)] == ["other"]
    forget_worker(store, ME)  # once more does no harm


def test_a_new_worker_drops_those_that_nobody_heard_of_for_a_day(store: Store):
    see_worker(store, OTHER, ["default"], "0.1.0")
    _seen_before(store, OTHER, dt.timedelta(hours=25))
    see_worker(store, ME, ["default"], "0.1.0")
    assert [worker.pid for worker in _workers(store)] == [ME.pid]
