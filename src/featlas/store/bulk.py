"""Writing and deleting many rows fast, in transactions short enough that a job's own heartbeat gets in between."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exc
from sqlalchemy.orm import Session

from featlas.store.session import Store
from featlas.store.tables import Row, UtcDateTime

TARGET_S = 0.25
"""What one transaction is meant to take; the promise is a second."""

Guard = Callable[[Session], None]


def no_guard(session: Session) -> None:
    """For writers that nobody can take the work away from."""


class Pace:
    """How many things to write per transaction, learnt from how long the last one took."""

    def __init__(self, first: int = 256, most: int = 1 << 16) -> None:
        self.n = first
        self._most = most

    def learn(self, n: int, seconds: float) -> None:
        """Aim the next transaction at TARGET_S; grow at most twofold at a time."""
        wanted = n * TARGET_S / max(seconds, 1e-6)
        self.n = int(min(max(wanted, 1), 2 * self.n, self._most))

    def chunks(self, total: int) -> Iterator[range]:
        """Consecutive ranges that cover 0 … total − 1, each as long as the pace says when it is asked for."""
        first = 0
        while first < total:
            chunk = range(first, min(first + self.n, total))
            yield chunk
            first = chunk.stop


def write_paced(store: Store, guard: Guard, pace: Pace, n: int, write: Callable[[Session], None]) -> None:
    """One guarded transaction that writes `n` things, timed."""
    began = time.perf_counter()
    with store.write() as session:
        guard(session)
        write(session)
    pace.learn(n, time.perf_counter() - began)


def insert_rows(session: Session, table: type[Row], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows of plain values (JSON and enumerations as text) past SQLAlchemy's own work: executemany or COPY."""
    if not rows:
        return
    names = ", ".join(f'"{column}"' for column in columns)
    connection = session.connection()
    rows = _with_instants_as_stored(connection, table, columns, rows)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" for _ in columns)
        connection.exec_driver_sql(f"INSERT INTO {table.__tablename__} ({names}) VALUES ({marks})", list(rows))
        return
    statement = f"COPY {table.__tablename__} ({names}) FROM STDIN"
    _copy(connection, statement, rows)


def _with_instants_as_stored(
    connection: Connection, table: type[Row], columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]]:
    """The rows with aware datetimes as the database keeps them, which the drivers do not know by themselves."""
    kinds = [table.__table__.columns[name].type for name in columns]
    instants = [at for at, kind in enumerate(kinds) if isinstance(kind, UtcDateTime)]
    if not instants:
        return rows
    convert = UtcDateTime().dialect_impl(connection.dialect).bind_processor(connection.dialect)
    if convert is None:
        return rows
    converted = [list(row) for row in rows]
    for row in converted:
        for at in instants:
            row[at] = convert(row[at])
    return [tuple(row) for row in converted]


def _copy(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    import psycopg

    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # As SQLAlchemy would have raised it, so that callers see one kind of error on both databases.
        raise exc.DBAPIError.instance(statement, None, error, psycopg.Error, dialect=connection.dialect) from error


def delete_rows(store: Store, guard: Guard, table: type[Row], of_whole: ColumnElement[bool], n_features: int) -> None:
    """Delete what a snapshot, or the like, has in a table keyed by it and feature_index, feature range by range."""
    feature_index = table.feature_index  # type: ignore[attr-defined]
    pace = Pace()
    for chunk in pace.chunks(n_features):
        statement = delete(table).where(of_whole, feature_index >= chunk.start, feature_index < chunk.stop)
        write_paced(store, guard, pace, len(chunk), lambda session, s=statement: session.execute(s) and None)
