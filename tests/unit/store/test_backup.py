"""Backups of stores that others write into meanwhile, and stores that are made from them again."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.builders.full_tables import fill_tables, read_rows

from featlas.errors import ConflictError, NotFoundError
from featlas.store.backup import back_up, sqlite_url
from featlas.store.copying import copy_store
from featlas.store.session import Store
from featlas.store.tables import JobEventRow, JobRow


def test_a_backup_while_others_write_is_one_state_and_comes_back(
    store: Store, store_url: str, tmp_path: Path, dialect: str, new_store_url: Callable[[str], str]
):
    """Each transaction of the writer adds a job and its event: a backup has both of it or none."""
    with store.write() as session:
        fill_tables(session.connection())
    stop, has_begun = threading.Event(), threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            with store.write() as session:
                job = JobRow(id=1000 + n, uid=f"busy-{n}", kind="extraction", spec={}, spec_hash="0" * 64)
                session.add(job)
                session.flush()
                session.add(JobEventRow(job_id=job.id, seq=1, kind="queued"))
            has_begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        has_begun.wait(30)
        file = tmp_path / "50% off?.db"
        made = back_up(store_url, file)
    finally:
        stop.set()
        writer.join()
    assert sorted(path.name for path in tmp_path.iterdir() if "off" in path.name) == [file.name]
    again = new_store_url(dialect)
    copy_store(sqlite_url(file), again)
    backup, restored = Store.open(sqlite_url(file)), Store.open(again)
    with backup.read() as one, restored.read() as other:
        busy = sa.select(JobRow.id).where(JobRow.id > 1000).order_by(JobRow.id)
        events = sa.select(JobEventRow.job_id).where(JobEventRow.job_id > 1000).order_by(JobEventRow.job_id)
        found = one.scalars(busy).all()
        assert found
        assert found == list(range(1001, 1001 + len(found))) == list(one.scalars(events)) == list(other.scalars(busy))
        numbers = {table.name: table.n_rows for table in made.tables}
        assert numbers == {name: len(rows) for name, rows in read_rows(other.connection()).items()}
    backup.close()
    restored.close()


def test_a_file_that_is_there_is_not_overwritten(store: Store, store_url: str, tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(ConflictError, match=r"notes\.txt exists already"):
        back_up(store_url, file)
    assert file.read_text() == "mine"


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "to").mkdir()
    with pytest.raises(NotFoundError, match="there is no database"):
        back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "to" / "backup.db")
    assert list((tmp_path / "to").iterdir()) == []
