"""Opening the store: one engine per process, and sessions that either read one state or write under the lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from featlas.errors import ConflictError
from featlas.store.database import (
    BUSY_TIMEOUT_S,
    SQLITE_BEGIN,
    find_revision,
    is_new_file,
    make_engine,
    parse_url,
    translated,
)
from featlas.store.migrations import HEAD, KNOWN_REVISIONS

COMMAND_CONNECTIONS = 8
"""Enough for a command or a job: its work, its heartbeat, and what it does beside them in threads."""


class Store:
    """A database with Featlas' tables; make one with `Store.open` and share it between threads."""

    def __init__(self, url: URL, engine: Engine) -> None:
        self.url = url
        self.engine = engine
        self._reader = engine.execution_options(**_read_options(url))
        self._writer = engine.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"})

    @classmethod
    def open(cls, url: str, *, n_connections: int = COMMAND_CONNECTIONS, statement_s: int | None = None) -> "Store":
        """Connect to `url` (sqlite:///FILE or postgresql://…), creating the tables in a new SQLite file.

        At most `n_connections` are open at a time, half of which stay open; who needs one more waits. On PostgreSQL a
        statement that takes longer than `statement_s` is cancelled, and nobody waits longer for a lock than on SQLite.
        Raises InputError for a URL or file that cannot be a store, ExternalError when the database cannot be reached,
        ConflictError when its tables are older or newer than this code.
        """
        parsed = parse_url(url)
        if is_new_file(parsed):
            # Imported here because Alembic costs a tenth of a second that a finished store never pays.
            from featlas.store.upgrade import upgrade

            upgrade(url)
        limits = {"lock_timeout": f"{BUSY_TIMEOUT_S}s"}
        if statement_s is not None:
            limits["statement_timeout"] = f"{statement_s}s"
        n_kept = (n_connections + 1) // 2
        engine = make_engine(
            parsed,
            limits=limits,
            pool_size=n_kept,
            max_overflow=n_connections - n_kept,
            pool_timeout=BUSY_TIMEOUT_S,
            pool_use_lifo=True,  # the one used last has pages, catalogue and prepared statements at hand
        )
        try:
            _require_head(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(parsed, engine)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database throughout and saves nothing."""
        with translated(self.url), Session(self._reader, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end and rolls back on an exception.

        On SQLite it holds the write lock from the start, so that what is read in it cannot change before the commit.
        """
        with translated(self.url), Session(self._writer) as session, session.begin():
            session.connection()
            yield session

    def pool_use(self) -> tuple[int, int]:
        """How many pooled connections are in use, and how many are kept; for a while there may be more than these."""
        pool = self.engine.pool
        return (pool.checkedout(), pool.size()) if isinstance(pool, QueuePool) else (0, 0)

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def _require_head(engine: Engine) -> None:
    name = engine.url.render_as_string(hide_password=True)
    with translated(engine.url), engine.connect() as connection:
        found = find_revision(connection)
    if found == HEAD:
        return
    if found is None:
        raise ConflictError(f"the database {name} has no Featlas tables; run `featlas db upgrade`")
    if found in KNOWN_REVISIONS:
        raise ConflictError(f"the database {name} is at revision {found}, older than {HEAD}; run `featlas db upgrade`")
    raise ConflictError(
        f"the database {name} is at revision {found}, which this version of Featlas does not know (it knows up to"
        f" {HEAD}); upgrade featlas"
    )


def _read_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "postgresql":
        # Publishing drops the previous snapshot; a reader must go on seeing the one it started with, as on SQLite.
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return {SQLITE_BEGIN: "BEGIN"}
