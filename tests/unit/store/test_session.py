import contextlib
import datetime as dt
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from featlas.errors import ExternalError, InputError
from featlas.store.session import Store
from featlas.store.tables import JobRow, utc_now
from featlas.store.upgrade import upgrade


def _job(uid: str, **columns: object) -> JobRow:
    return JobRow(uid=uid, kind="extraction", spec={}, spec_hash="0" * 64, **columns)


def test_a_new_sqlite_file_gets_its_folder_and_its_tables(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'new' / 'deeper' / 'featlas.db'}")
    with store.write() as session:
        session.add(_job("a"))
    with store.read() as session:
        assert session.scalars(sa.select(JobRow.uid)).all() == ["a"]
    store.close()


def test_sqlite_runs_with_wal_foreign_keys_and_patience(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'featlas.db'}")
    with store.read() as session:
        assert session.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(sa.text("PRAGMA foreign_keys")).scalar() == 1
        assert session.execute(sa.text("PRAGMA busy_timeout")).scalar() == 30_000
    store.close()


@pytest.mark.parametrize("url", ["", "not a url", "mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_no_store_is_refused(url: str):
    with pytest.raises(InputError, match=r"expected sqlite:///path/to/file\.db or postgresql://"):
        Store.open(url)


def test_a_path_below_a_regular_file_names_the_folder(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(ExternalError, match=f"cannot make the folder {blocker}"):
        Store.open(f"sqlite:///{blocker}/deeper/featlas.db")
    with pytest.raises(ExternalError, match=f"cannot make the folder {blocker}"):
        Store.open(f"sqlite:///{blocker}/featlas.db")


def test_a_folder_is_no_database_file(tmp_path: Path):
    with pytest.raises(InputError, match="is a folder"):
        Store.open(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes. " * 100)
    for use in (Store.open, upgrade):
        with pytest.raises(InputError, match=r"notes\.txt is not a SQLite database"):
            use(f"sqlite:///{path}")
    assert path.read_text() == "These are my notes. " * 100


def test_an_unreachable_server_is_named_without_its_password():
    with pytest.raises(ExternalError, match=r"nobody:\*\*\*@127.0.0.1:1/none does not answer") as caught:
        Store.open("postgresql://nobody:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


def test_a_write_commits_at_its_end_and_rolls_back_on_an_exception(store: Store):
    with store.write() as session:
        session.add(_job("kept"))
    with pytest.raises(ZeroDivisionError):
        _write_and_fail(store)
    with store.read() as session:
        assert session.scalars(sa.select(JobRow.uid)).all() == ["kept"]


def test_a_reader_sees_one_state_while_others_write(store: Store):
    with store.write() as session:
        session.add(_job("first"))
    with store.read() as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(JobRow)) == 1
        with store.write() as session:
            session.add(_job("second"))
        assert reader.scalar(sa.select(sa.func.count()).select_from(JobRow)) == 1
    with store.read() as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(JobRow)) == 2


def test_a_read_session_saves_nothing(store: Store):
    # PostgreSQL refuses at once, SQLite forgets at the end.
    with contextlib.suppress(exc.InternalError), store.read() as session:
        session.execute(sa.insert(JobRow).values(uid="x", kind="extraction", spec={}, spec_hash="0" * 64))
    with store.read() as session:
        assert session.scalars(sa.select(JobRow)).all() == []


def test_sqlite_writers_take_the_lock_at_their_start(tmp_path: Path):
    """A deferred transaction that reads first and writes later fails at once when another writer came between."""
    store = Store.open(f"sqlite:///{tmp_path / 'featlas.db'}")
    with store.write() as session:
        session.add(_job("counter", attempt=0))

    def increase() -> None:
        for _ in range(20):
            with store.write() as session:
                job = session.scalars(sa.select(JobRow)).one()
                job.attempt += 1

    threads = [threading.Thread(target=increase) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as session:
        assert session.scalars(sa.select(JobRow.attempt)).one() == 80
    store.close()


def test_instants_come_back_in_utc_and_naive_ones_are_refused(store: Store):
    noon_in_tokyo = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    with store.write() as session:
        session.add(_job("a", started_at=noon_in_tokyo))
    with store.read() as session:
        job = session.scalars(sa.select(JobRow)).one()
        assert job.started_at == noon_in_tokyo
        assert job.started_at is not None
        assert job.started_at.utcoffset() == dt.timedelta(0)
        assert abs(utc_now() - job.created_at) < dt.timedelta(minutes=1)
        earlier = session.scalars(sa.select(JobRow.uid).where(JobRow.started_at < utc_now())).all()
        assert earlier == ["a"]
    with pytest.raises(exc.StatementError, match="naive datetime"), store.write() as session:
        session.add(_job("b", started_at=dt.datetime(2026, 3, 1, 12)))


def test_states_outside_the_enumeration_are_refused_by_the_database_itself(store: Store):
    with store.write() as session:
        session.add(_job("a"))
    with pytest.raises(exc.IntegrityError, match="ck_jobs_state"), store.write() as session:
        session.execute(sa.text("UPDATE jobs SET state = 'dreaming'"))


def test_json_with_nan_is_refused(store: Store):
    with pytest.raises((ValueError, exc.StatementError), match="Out of range float"), store.write() as session:
        session.add(_job("a", progress={"rate": float("nan")}))


def test_foreign_keys_are_enforced(store: Store):
    with pytest.raises(exc.IntegrityError), store.write() as session:
        session.execute(sa.text("INSERT INTO job_events (job_id, seq, at, kind) VALUES (7, 1, '2026-01-01', 'x')"))


def _write_and_fail(store: Store) -> None:
    with store.write() as session:
        session.add(_job("lost"))
        session.flush()
        raise ZeroDivisionError
