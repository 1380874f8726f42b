"""The last number that each table gave to a row, kept through copies and upgrades so that no id is ever given twice."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, inspect, select, text

from featlas.store.tables import Row


def carry_last_ids(source: Connection, target: Connection) -> None:
    """Let the tables of the target number their next rows as those of the source would."""
    for table in Row.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            largest = source.scalar(select(func.max(column))) or 0
            _set_last_id(target, table.name, max(_last_id(source, table.name), largest))


@contextmanager
def last_ids_kept(connection: Connection) -> Iterator[None]:
    """SQLite forgets the last number where a table is made anew; afterwards it is what it was, or higher."""
    if connection.dialect.name != "sqlite" or not inspect(connection).has_table("sqlite_sequence"):
        yield
        return
    before = {name: last for name, last in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))}
    yield
    for name, last in before.items():
        if last > _last_id(connection, name):
            _set_last_id(connection, name, last)


def _last_id(connection: Connection, table: str) -> int:
    if connection.dialect.name == "sqlite":
        found = connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table})
        return found or 0
    sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table})
    last, is_given = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
    return last if is_given else last - 1


def _set_last_id(connection: Connection, table: str, last: int) -> None:
    if last == 0:
        return
    if connection.dialect.name == "postgresql":
        statement = "SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"
        connection.execute(text(statement), {"name": table, "last": last})
        return
    found = select(text("sql")).select_from(text("sqlite_master")).where(text("type = 'table' AND name = :name"))
    if "AUTOINCREMENT" in (connection.scalar(found, {"name": table}) or ""):  # others may give an id again
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
        insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"
        connection.execute(text(insert), {"name": table, "last": last})
