"""Opening the store: one engine per process, and sessions that either read one state or write under the lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from featlas.errors import ConflictError
from featlas.store.database import SQLITE_BEGIN, find_revision, is_new_file, make_engine, parse_url, translated
from featlas.store.migrations import HEAD, KNOWN_REVISIONS


class Store:
    """A database with Featlas' tables; make one with `Store.open` and share it between threads."""

    def __init__(self, url: URL, engine: Engine) -> None:
        self.url = url
        self.engine = engine
        self._reader = engine.execution_options(**_read_options(url))
        self._writer = engine.execution_options(**{SQLITE_BEGIN: "BEGIN IMMEDIATE"})

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> "Store":
        """Connect to `url` (sqlite:///FILE or postgresql://…), creating the tables in a new SQLite file.

        Raises InputError for a URL or file that cannot be a store, ExternalError when the database cannot be reached,
        ConflictError when its tables are older or newer than this code.
        """
        parsed = parse_url(url)
        if is_new_file(parsed):
            # Imported here because Alembic costs a tenth of a second that a finished store never pays.
            from featlas.store.upgrade import upgrade

            upgrade(url)
        engine = make_engine(parsed, pool_size=pool_size, max_overflow=pool_size)
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
