"""Rows as plain values that are the same on both databases, so that a table can be copied and compared."""

import datetime as dt
import marshal
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import JSON, Enum, Table, Text, cast, func, select, type_coerce
from sqlalchemy.orm import Session

from featlas.store.bulk import insert_rows
from featlas.store.database import translated
from featlas.store.tables import Row

# A row of these may be megabytes; of every other table it is a few kilobytes at most.
_FEW = {"feature_columns": 8, "tokenizers": 1}
_MANY = 2000

PlainRow = tuple[Any, ...]


class PlainTable:
    """One table, read and written past the ORM: JSON and enumerations as the text that is stored, instants in UTC."""

    def __init__(self, row_class: type[Row]) -> None:
        self.row_class = row_class
        self.table: Table = row_class.__table__  # type: ignore[assignment]
        self.name = self.table.name
        self.columns = tuple(column.name for column in self.table.columns)

    def read(self, session: Session) -> Iterator[Sequence[PlainRow]]:
        """All rows by key, in batches that fit into memory."""
        batch = _FEW.get(self.name, _MANY)
        statement = select(*map(_as_plain, self.table.columns)).order_by(*self.table.primary_key.columns)
        with translated(session.get_bind().engine.url):
            found = session.execute(statement, execution_options={"yield_per": batch})
            for rows in found.partitions():
                yield [tuple(row) for row in rows]

    def write(self, session: Session, rows: Sequence[PlainRow]) -> None:
        """Insert rows as `read` gives them."""
        insert_rows(session, self.row_class, self.columns, rows)

    def count(self, session: Session) -> int:
        """How many rows there are."""
        return session.scalars(select(func.count()).select_from(self.table)).one()

    def is_empty(self, session: Session) -> bool:
        """Whether there is no row."""
        return session.execute(select(1).select_from(self.table).limit(1)).first() is None


class Digest:
    """The number of rows and a sum of their hashes: the same for the same rows in any order."""

    def __init__(self) -> None:
        self.n_rows = 0
        self._total = 0

    def add(self, rows: Sequence[PlainRow]) -> None:
        """Count these rows in."""
        self.n_rows += len(rows)
        for row in rows:
            # Version 2 of the format writes equal values as equal bytes; later ones also tell which objects are shared.
            content = marshal.dumps(tuple(map(_comparable, row)), 2)
            self._total += int.from_bytes(blake2b(content, digest_size=16).digest(), "little")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.n_rows, self._total) == (other.n_rows, other._total)

    __hash__ = None  # type: ignore[assignment]


def _as_plain(column: Any) -> Any:
    if isinstance(column.type, JSON):
        # The text itself, so that no number is read and written anew, and a JSON null is no SQL NULL.
        return cast(column, Text).label(column.name)
    if isinstance(column.type, Enum):
        return type_coerce(column, Text).label(column.name)
    return column


def _comparable(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    # SQLite keeps no minus before a zero.
    return value + 0.0 if isinstance(value, float) else value
