"""Stores that move between databases: nothing is lost, changed or half there, and what cannot be copied is refused."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.builders.full_tables import FIRST_ID, N_ROWS, fill_tables, read_rows
from tests.builders.stored_runs import make_run, publish_run, register_inputs

from featlas.errors import ConflictError, ExternalError, InputError, NotFoundError
from featlas.specs import ExtractSpec
from featlas.store import jobs
from featlas.store.copying import copy_store
from featlas.store.labels import HumanLabel, add_human_label
from featlas.store.lease_owner import Owner
from featlas.store.plain_rows import PlainTable
from featlas.store.search import find_text
from featlas.store.session import Store
from featlas.store.tables import JobRow, LabelRow, RunRow
from featlas.store.upgrade import check

NewStoreUrl = Callable[[str], str]
PAIRS = [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite"), ("postgresql", "postgresql")]


def filled(url: str) -> str:
    store = Store.open(url)
    with store.write() as session:
        fill_tables(session.connection())
    store.close()
    return url


def rows_of(url: str) -> dict[str, list[dict[str, object]]]:
    store = Store.open(url)
    with store.read() as session:
        found = read_rows(session.connection())
    store.close()
    return {name: [{key: aware(value) for key, value in row.items()} for row in rows] for name, rows in found.items()}


def aware(value: object) -> object:
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo is None else value


@pytest.mark.parametrize(("source_kind", "target_kind"), PAIRS)
def test_every_value_of_every_table_arrives(new_store_url: NewStoreUrl, source_kind: str, target_kind: str):
    source, target = filled(new_store_url(source_kind)), new_store_url(target_kind)
    copy = copy_store(source, target)
    assert {table.name: table.n_rows for table in copy.tables} == dict.fromkeys(rows_of(source), N_ROWS)
    assert rows_of(target) == rows_of(source)


def test_a_target_without_tables_gets_them(new_store_url: NewStoreUrl, empty_database_url: str):
    source = filled(new_store_url("sqlite"))
    copy_store(source, empty_database_url)
    assert check(empty_database_url).is_current
    assert rows_of(empty_database_url) == rows_of(source)


@pytest.mark.parametrize(("source_kind", "target_kind"), PAIRS[:2])
def test_ids_of_deleted_rows_are_not_given_again(new_store_url: NewStoreUrl, source_kind: str, target_kind: str):
    source, target = filled(new_store_url(source_kind)), new_store_url(target_kind)
    last = FIRST_ID + 1000
    store = Store.open(source)
    with store.write() as session:
        session.add(JobRow(id=last, uid="gone", kind="extraction", spec={}, spec_hash="0" * 64))
        session.flush()
        if source_kind == "postgresql":
            session.execute(sa.text("SELECT setval(pg_get_serial_sequence('jobs', 'id'), :last)"), {"last": last})
        session.execute(sa.delete(JobRow).where(JobRow.id == last))
    store.close()
    copy_store(source, target)
    store = Store.open(target)
    with store.write() as session:
        job = JobRow(uid="new", kind="extraction", spec={}, spec_hash="0" * 64)
        label = LabelRow(uid="new", sae_id=FIRST_ID, feature_index=1, status="labeled", source="human")
        session.add_all([job, label])
        session.flush()
        assert (job.id, label.id) == (last + 1, FIRST_ID + N_ROWS)
    store.close()


def test_a_copied_store_is_searched_and_labeled_as_before(new_store_url: NewStoreUrl, dialect: str):
    other = "sqlite" if dialect == "postgresql" else "postgresql"
    source, target = new_store_url(dialect), new_store_url(other)
    store = Store.open(source)
    inputs = register_inputs(store)
    publish_run(store, make_run(store, inputs))
    add_human_label(store, inputs.sae_id, 2, HumanLabel("courts of law"))
    store.close()
    copy_store(source, target)
    copy = Store.open(target)
    add_human_label(copy, inputs.sae_id, 3, HumanLabel("tennis courts"))
    with copy.read() as session:
        assert find_text(session, inputs.sae_id, "COURT").tolist() == [2, 3]
        assert find_text(session, inputs.sae_id, "tenni").tolist() == [3]
    copy.close()


def test_a_target_with_rows_is_refused_and_left_alone(new_store_url: NewStoreUrl, dialect: str):
    source, target = filled(new_store_url("sqlite")), filled(new_store_url(dialect))
    before = rows_of(target)
    with pytest.raises(ConflictError, match=r"holds rows already \(in .*jobs.*\); expected an empty one"):
        copy_store(source, target)
    assert rows_of(target) == before


def test_databases_at_other_revisions_are_refused(store: Store, store_url: str, new_store_url: NewStoreUrl):
    with store.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    for pair in ((store_url, new_store_url("sqlite")), (filled(new_store_url("sqlite")), store_url)):
        with pytest.raises(ConflictError, match=r"at revision 0001, older than \d+; run `featlas db upgrade`"):
            copy_store(*pair)
    with store.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for pair in ((store_url, new_store_url("sqlite")), (filled(new_store_url("sqlite")), store_url)):
        with pytest.raises(ConflictError, match="upgrade featlas"):
            copy_store(*pair)


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"there is no database sqlite.*none\.db"):
        copy_store(f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/other.db")
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_copied_onto_itself(new_store_url: NewStoreUrl, dialect: str):
    url = filled(new_store_url(dialect))
    with pytest.raises(InputError, match="onto itself"):
        copy_store(url, url)


def test_a_job_that_is_worked_on_holds_a_copy_back(store: Store, store_url: str, new_store_url: NewStoreUrl):
    job = jobs.enqueue(store, "extraction", ExtractSpec(model="m", sae="s", text=("t",)))
    _, lease = jobs.claim(store, Owner.of_this_process(), 60, job_id=job.id)
    with pytest.raises(ConflictError, match=f"job {job.id} is being worked on by"):
        copy_store(store_url, new_store_url("sqlite"))
    for_backup = new_store_url("sqlite")
    copy_store(store_url, for_backup, while_working=True)
    with store.write() as session:  # the worker went silent
        session.execute(sa.update(JobRow).values(lease_until=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))
    target = new_store_url("sqlite")
    copy_store(store_url, target)
    copy = Store.open(target)
    (freed,) = jobs.reconcile(copy)
    assert (freed.state, freed.attempt) == ("queued", lease.attempt + 1)
    copy.close()


def test_what_does_not_fit_is_named_and_nothing_is_kept(new_store_url: NewStoreUrl):
    source, target = filled(new_store_url("sqlite")), new_store_url("postgresql")
    store = Store.open(source)
    with store.write() as session:
        session.execute(sa.text("UPDATE jobs SET code_version = :long"), {"long": "x" * 300})
    store.close()
    with pytest.raises(ConflictError, match=r"a row of jobs does not fit .* too long .*nothing was copied"):
        copy_store(source, target)
    assert all(rows == [] for rows in rows_of(target).values())


def test_a_row_that_changes_on_the_way_is_found_out(
    new_store_url: NewStoreUrl, dialect: str, monkeypatch: pytest.MonkeyPatch
):
    """The comparison itself is tested: a writer that alters one value of one row is caught."""
    source, target = filled(new_store_url("sqlite")), new_store_url(dialect)
    write = PlainTable.write

    def write_wrongly(table: PlainTable, session: object, rows: list) -> None:
        at = table.columns.index("n_tokens") if table.name == "corpora" else None
        if at is not None:
            rows = [(*row[:at], row[at] - 1, *row[at + 1 :]) if i == 1 else row for i, row in enumerate(rows)]
        write(table, session, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(PlainTable, "write", write_wrongly)
    with pytest.raises(ExternalError, match=r"the copy of corpora differs from the original \(3 rows, expected 3\)"):
        copy_store(source, target)
    assert all(rows == [] for rows in rows_of(target).values())


def test_the_source_is_read_as_it_was_at_one_moment(store: Store, store_url: str, new_store_url: NewStoreUrl):
    """Runs and snapshots that others add and drop in the meantime are in the copy whole or not at all."""
    run = make_run(store, register_inputs(store))
    publish_run(store, run)
    read, target = PlainTable.read, new_store_url("sqlite")
    done: list[int] = []

    def read_late(table: PlainTable, session: object):
        yield from read(table, session)  # type: ignore[arg-type]
        if table.name == "snapshots" and not done:
            done.append(publish_run(store, run, n_features=5).snapshot_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainTable, "read", read_late)
        copy_store(store_url, target)
    copy = Store.open(target)
    with copy.read() as session:
        counts = session.scalar(sa.select(sa.func.count()).select_from(sa.text("features")))
        assert (counts, session.scalars(sa.select(RunRow.current_snapshot_id)).one()) == (6, done[0] - 1)
    copy.close()


def test_a_copy_that_is_killed_leaves_no_rows(new_store_url: NewStoreUrl, dialect: str, tmp_path: Path):
    source, target = filled(new_store_url("sqlite")), new_store_url(dialect)
    said = tmp_path / "half-way"
    script = f"""
import pathlib, time
from featlas.store.copying import copy_store
from featlas.store.plain_rows import PlainTable
write = PlainTable.write
def write_slowly(table, session, rows):
    write(table, session, rows)
    if table.name == "labels":
        pathlib.Path({str(said)!r}).touch()
        time.sleep(60)
PlainTable.write = write_slowly
copy_store({source!r}, {target!r})
"""
    process = subprocess.Popen([sys.executable, "-c", script], env=dict(os.environ))
    while not said.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all(rows == [] for rows in rows_of(target).values())
    copy_store(source, target)
    assert rows_of(target) == rows_of(source)
