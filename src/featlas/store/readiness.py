"""Asks a database whether the store in it can be opened, over a connection of its own that gives up early.

A connection of the pool would tell of the past: one that a dead network left behind hangs for a quarter of an hour.
"""

from typing import Any

from sqlalchemy import URL
from sqlalchemy.pool import NullPool

from featlas.errors import ConflictError
from featlas.store.database import find_revision, make_engine, translated
from featlas.store.migrations import HEAD


def require_ready(url: URL, limit_s: int) -> None:
    """Raise ExternalError for a database that cannot be reached within so many seconds, ConflictError for one whose
    tables are not those of this code."""
    engine = make_engine(url, poolclass=NullPool, connect_args=_connect_args(url, limit_s))
    try:
        with translated(url), engine.connect() as connection:
            found = find_revision(connection)
    finally:
        engine.dispose()
    if found != HEAD:
        raise ConflictError(f"the database is at revision {found}, expected {HEAD}; run `featlas db upgrade`")


def _connect_args(url: URL, limit_s: int) -> dict[str, Any]:
    if url.get_backend_name() != "postgresql":
        return {}
    return {"connect_timeout": limit_s, "options": f"-c statement_timeout={limit_s * 1000}"}
