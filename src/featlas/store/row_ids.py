"""The last number that each table gave to a row, kept through a copy so that no id is ever given twice."""

from sqlalchemy import Integer, func, select, text
from sqlalchemy.orm import Session

from featlas.store.tables import Row


def carry_last_ids(reading: Session, writing: Session) -> None:
    """Let the tables that are written number their next rows as those that are read would."""
    for table in Row.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            last = max(_last_id(reading, table.name), reading.scalar(select(func.max(column))) or 0)
            _set_last_id(writing, table.name, last)


def _last_id(session: Session, table: str) -> int:
    if session.connection().dialect.name == "sqlite":
        found = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table})
        return found or 0
    sequence = session.scalar(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table})
    last, is_given = session.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
    return last if is_given else last - 1


def _set_last_id(session: Session, table: str, last: int) -> None:
    if last == 0:
        return
    if session.connection().dialect.name == "sqlite":
        # Tables that may give an id again have no line there, and need none.
        statement = text("SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE type = 'table' AND name = :name")
        if session.scalar(statement.columns(Integer), {"name": table}):
            session.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
            session.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), {"name": table, "last": last}
            )
        return
    session.execute(
        text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), {"name": table, "last": last}
    )
