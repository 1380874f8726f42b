import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session
from tests.builders.stored_runs import (
    OCCURRENCES,
    begin_snapshot,
    count_rows,
    fetch_again,
    make_batch,
    make_columns,
    make_contexts,
    make_header,
    make_run,
    publish_run,
    register_inputs,
)

from featlas.domain import JobState
from featlas.errors import ConflictError, ExternalError
from featlas.store.read import fetch_feature
from featlas.store.runs import Run, assign_job, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter, remove_orphans
from featlas.store.tables import (
    JobRow,
    SnapshotRow,
    utc_now,
)


@pytest.fixture
def run(store: Store) -> Run:
    return make_run(store, register_inputs(store))


def test_orphans_are_removed_and_what_is_in_force_stays(store: Store, run: Run):
    published = publish_run(store, run, is_partial=True)
    expected = count_rows(store)
    begin_snapshot(store, run)
    assert count_rows(store) != expected
    assert remove_orphans(store) == 1
    assert count_rows(store) == expected
    assert fetch_again(store, run).snapshot_id == published.snapshot_id
    assert remove_orphans(store) == 0


def test_a_new_writer_of_the_run_removes_what_the_last_one_left(store: Store, run: Run):
    begin_snapshot(store, run)
    publish_run(store, run)
    assert count_rows(store)["features"] == 6


@pytest.mark.parametrize(
    ("state", "lease_s", "n_removed"),
    [(JobState.RUNNING, 60, 0), (JobState.RUNNING, -60, 0), (JobState.FAILED, 60, 1), (JobState.PAUSED, 60, 1)],
)
def test_a_snapshot_that_a_running_job_may_be_writing_is_no_orphan(
    store: Store, run: Run, state: JobState, lease_s: float, n_removed: int
):
    assign_job(store, run.id, add_job(store, state, lease_s))
    begin_snapshot(store, run)
    assert remove_orphans(store) == n_removed


def test_a_worker_that_was_silent_for_too_long_and_wakes_up_publishes_a_whole_snapshot(store: Store, run: Run):
    """Its lease ended, but nobody took the job back: cleaning up must not take its rows from under it."""
    assign_job(store, run.id, add_job(store, JobState.RUNNING, lease_s=-60))
    writer = begin_snapshot(store, run)
    expected = count_rows(store)
    remove_orphans(store)
    assert count_rows(store) == expected
    writer.add_columns(make_columns(make_batch(0, 6)))
    writer.publish()
    assert fetch_again(store, run).snapshot_id == writer.snapshot_id


def test_a_worker_that_lost_its_lease_can_neither_add_nor_publish(store: Store, run: Run):
    is_ours = True

    def guard(_session: Session) -> None:
        if not is_ours:
            raise ConflictError("the job was taken over")

    batch = make_batch(0, 6)
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES, guard)
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    before = count_rows(store)
    is_ours = False
    for act in (
        writer.publish,
        lambda: writer.add_contexts(make_contexts()),
        lambda: writer.add_columns({"more": np.zeros(6)}),
        lambda: SnapshotWriter(store, run.id, make_header(6), OCCURRENCES, guard),
    ):
        with pytest.raises(ConflictError, match="taken over"):
            act()
    assert count_rows(store) == before
    assert fetch_again(store, run).snapshot_id is None


def test_a_lease_lost_right_after_the_flip_leaves_the_old_snapshot_to_the_cleaner(store: Store, run: Run):
    publish_run(store, run, is_partial=True)
    calls = []

    def guard(session: Session) -> None:
        published = session.scalars(select(SnapshotRow.id).where(SnapshotRow.published_at.is_not(None))).all()
        calls.append(len(published))
        if len(published) > 1:
            raise ConflictError("the job was taken over")

    batch = make_batch(0, 6)
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES, guard)
    writer.add_contexts(make_contexts())
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    writer.publish()
    assert calls[-1] == 2
    assert fetch_again(store, run).snapshot_id == writer.snapshot_id
    assert remove_orphans(store) == 1


def test_every_transaction_is_short(store: Store, run: Run):
    """Or a job could not renew its lease while it publishes. Processor time: a busy machine does not lengthen it."""
    n = 3000
    spans: list[float] = []
    with timed_transactions(store, spans):
        writer = SnapshotWriter(store, run.id, make_header(n), OCCURRENCES)
        writer.add_contexts(make_contexts())
        batch = make_batch(0, n)
        writer.add_features(batch)
        writer.add_columns(make_columns(batch))
        writer.publish()
        second = SnapshotWriter(store, run.id, make_header(0), OCCURRENCES)
        second.add_columns(make_columns(make_batch(0, 0)))
        second.publish()
    assert count_rows(store)["features"] == 0
    assert len(spans) > 15
    assert max(spans) < 1.0


def test_a_full_disk_leaves_the_last_snapshot_in_force(sqlite_store: Store):
    run = make_run(sqlite_store, register_inputs(sqlite_store))
    first = publish_run(sqlite_store, run, is_partial=True)
    expected = count_rows(sqlite_store)
    # Many features in one batch, so that the disk fills up in the middle of writing them.
    with full_disk(sqlite_store, room_pages=40), pytest.raises(ExternalError, match=r"no room left.*full"):
        begin_snapshot(sqlite_store, run, 2000)
    assert fetch_again(sqlite_store, run).snapshot_id == first.snapshot_id
    with sqlite_store.read() as session:
        assert fetch_feature(session, fetch_run(session, run.id), 2).n_fires == 12
    assert remove_orphans(sqlite_store) == 1
    assert count_rows(sqlite_store) == expected
    assert publish_run(sqlite_store, run).snapshot_id > first.snapshot_id


@pytest.fixture
def sqlite_store(tmp_path, sqlite_template) -> Iterator[Store]:
    path = tmp_path / "featlas.db"
    path.write_bytes(sqlite_template.read_bytes())
    opened = Store.open(f"sqlite:///{path}")
    yield opened
    opened.close()


@contextmanager
def full_disk(store: Store, room_pages: int) -> Iterator[None]:
    """A database file that may not grow by more than so many pages, on every connection."""
    with store.read() as session:
        limit = session.execute(text("PRAGMA page_count")).scalar_one() + room_pages

    def restrict(connection, _record) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit}")

    store.engine.dispose()
    event.listen(store.engine, "connect", restrict)
    try:
        yield
    finally:
        event.remove(store.engine, "connect", restrict)
        store.engine.dispose()


@contextmanager
def timed_transactions(store: Store, spans: list[float]) -> Iterator[None]:
    begun: dict[int, float] = {}

    def on_begin(connection) -> None:
        begun[id(connection)] = time.thread_time()

    def on_commit(connection) -> None:
        spans.append(time.thread_time() - begun[id(connection)])

    writer = store._writer
    event.listen(writer, "begin", on_begin)
    event.listen(writer, "commit", on_commit)
    yield
    event.remove(writer, "begin", on_begin)
    event.remove(writer, "commit", on_commit)


def add_job(store: Store, state: JobState, lease_s: float) -> int:
    with store.write() as session:
        lease_until = utc_now() + dt.timedelta(seconds=lease_s)
        job = JobRow(uid="j", kind="extraction", spec={}, spec_hash="0" * 64, state=state, lease_until=lease_until)
        session.add(job)
        session.flush()
        return job.id
