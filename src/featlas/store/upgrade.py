"""Bringing a database to the schema of this code, and saying how far it is from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.pool import NullPool

from featlas.errors import ConflictError
from featlas.store.database import SQLITE_BEGIN, find_revision, make_engine, parse_url, translated
from featlas.store.migrations import HEAD, KNOWN_REVISIONS
from featlas.store.row_ids import last_ids_kept
from featlas.store.search_index import is_ours
from featlas.store.tables import Row

# Any constant: it only keeps two upgrades of one PostgreSQL database apart.
_UPGRADE_LOCK = 0x6665_6174_6C61

# How Alembic compares tables with models: types too, leaving out the search index, which models do not describe.
_COMPARE: dict[str, Any] = {
    "compare_type": True,
    "include_object": lambda _object, name, kind, reflected, _other: not (reflected and is_ours(name, kind)),
}


@dataclass(frozen=True)
class StoreCheck:
    """How a database compares with this code; `drift` lists differences of tables, in words."""

    url: str
    revision: str | None
    head: str
    drift: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether the store can be opened and has exactly the tables that the code describes."""
        return self.revision == self.head and not self.drift


def upgrade(url: str) -> str | None:
    """Bring the database to this code's schema in one transaction; returns the revision it was at before.

    Safe when several processes do it at once. Raises ConflictError when the database is newer than the code.
    """
    with _migrating(url) as connection:
        before = find_revision(connection)
        if before is not None and before not in KNOWN_REVISIONS:
            raise ConflictError(f"the database is at revision {before}, newer than this code ({HEAD}); upgrade featlas")
        with last_ids_kept(connection):
            command.upgrade(_config(connection), "head")
        if connection.dialect.name == "sqlite":
            _require_sound_keys(connection)
    return before


def check(url: str) -> StoreCheck:
    """Compare the database with this code: its revision, and every table, column, index and key."""
    parsed = parse_url(url)
    engine = make_engine(parsed, poolclass=NullPool)
    try:
        with translated(parsed), engine.connect() as connection:
            revision = find_revision(connection)
            differences = compare_metadata(MigrationContext.configure(connection, opts=_COMPARE), Row.metadata)
    finally:
        engine.dispose()
    name = parsed.render_as_string(hide_password=True)
    return StoreCheck(name, revision, HEAD, tuple(_in_words(difference) for difference in differences))


@contextmanager
def _migrating(url: str) -> Iterator[Connection]:
    parsed = parse_url(url)
    # SQLite alters a table by making it anew; with foreign keys on, dropping the old one would empty its children.
    engine = make_engine(parsed, foreign_keys=False, poolclass=NullPool)
    try:
        with translated(parsed), engine.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"}).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
            yield connection
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes.update(connection=connection, compare=_COMPARE)
    return config


def _require_sound_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise ConflictError(f"after the upgrade {len(broken)} rows of {tables} point to nothing; nothing was changed")


def _in_words(difference: Any) -> str:
    if isinstance(difference, list):
        return "; ".join(_in_words(part) for part in difference)
    return " ".join(str(part) for part in difference if part is not None)
