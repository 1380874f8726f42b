"""Connecting to SQLite or PostgreSQL so that both behave alike, and saying in our words how they fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, make_url
from sqlalchemy.pool import NullPool

from featlas.errors import ExternalError, InputError

BUSY_TIMEOUT_S = 30
SQLITE_BEGIN = "sqlite_begin"
"""Execution option that holds the statement with which SQLite transactions start."""

_EXPECTED_URL = "expected sqlite:///path/to/file.db or postgresql://user:password@host/name"


def parse_url(url: str) -> URL:
    """Validate a database URL and choose its driver; raises InputError."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise InputError(f"{url!r} is not a database URL; {_EXPECTED_URL}") from error
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InputError(f"database {kind!r} is not supported; {_EXPECTED_URL}")
    if not parsed.database or parsed.database == ":memory:":
        raise InputError(f"an in-memory SQLite database cannot be shared between processes; {_EXPECTED_URL}")
    return parsed.set(drivername="sqlite+pysqlite")


def make_engine(url: URL, *, foreign_keys: bool = True, **options: Any) -> Engine:
    """An engine with the store's connection settings; `options` go to SQLAlchemy's create_engine.

    Makes the folder of a SQLite file; raises ExternalError where that is impossible.
    """
    if options.get("poolclass") is not NullPool:
        options["pool_pre_ping"] = url.get_backend_name() == "postgresql"
    engine = create_engine(url, json_serializer=_strict_json, **options)
    if url.get_backend_name() == "sqlite":
        _make_folder(url)
        _set_up_sqlite(engine, foreign_keys=foreign_keys)
    return engine


def is_new_file(url: URL) -> bool:
    """Whether the URL names a SQLite file that does not exist yet or is empty."""
    if url.get_backend_name() != "sqlite":
        return False
    path = Path(url.database or "")
    try:
        return path.stat().st_size == 0
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise ExternalError(f"cannot look at the database file {path}: {error.strerror}") from error


def find_revision(connection: Connection) -> str | None:
    """The revision that the database says it is at; None without Featlas' tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the database's own failures (not our mistakes) into errors that name the database and the cause.

    A value that came from outside and that no column takes is the caller's mistake, whoever compares with it.
    """
    try:
        yield
    except exc.DataError as error:
        cause = " ".join(str(error.orig).split())
        raise InputError(f"there is a value that no database holds or compares with: {cause}") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object!r} holds a character that no text can hold; take it out") from error
    except exc.DBAPIError as error:
        if isinstance(error, exc.OperationalError | exc.InterfaceError) or type(error) is exc.DatabaseError:
            raise _in_our_words(error, url) from error
        raise


def _in_our_words(error: exc.DBAPIError, url: URL) -> InputError | ExternalError:
    name = url.render_as_string(hide_password=True)
    cause = " ".join(str(error.orig).split())  # a message is one line
    if "not a database" in cause:
        return InputError(f"{url.database} is not a SQLite database ({cause}); expected a file that Featlas made")
    if "is full" in cause or "No space left" in cause:
        return ExternalError(f"no room left in the database {name}: {cause}; free some space and try again")
    is_locked = "locked" in cause
    if is_locked:
        cause += f" by another process for {BUSY_TIMEOUT_S} s"
    return ExternalError(f"the database {name} failed: {cause}", retryable=is_locked or error.connection_invalidated)


def _make_folder(url: URL) -> None:
    path = Path(url.database or "")
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected the path of a database file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExternalError(
            f"cannot make the folder {path.parent} of the database: {error.strerror};"
            " set FEATLAS_HOME to a folder that can be written"
        ) from error


def _set_up_sqlite(engine: Engine, *, foreign_keys: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # We say BEGIN ourselves: the driver's own way starts transactions late and never IMMEDIATE.
        connection.isolation_level = None
        # First of all, so that the switch to WAL waits for other processes that open the same new file.
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(SQLITE_BEGIN, "BEGIN"))


def _strict_json(value: object) -> str:
    """JSON text without NaN, which PostgreSQL and browsers refuse; raises ValueError for it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
