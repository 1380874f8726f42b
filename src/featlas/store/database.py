"""Connecting to SQLite or PostgreSQL so that both behave alike, and saying in our words how they fail."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, make_url
from sqlalchemy.pool import NullPool

from featlas.errors import DatabaseUnreachable, ExternalError, InputError

BUSY_TIMEOUT_S = 30
SQLITE_BEGIN = "sqlite_begin"
"""Execution option that holds the statement with which SQLite transactions start."""

_EXPECTED_URL = "expected sqlite:///path/to/file.db or postgresql://user:password@host/name"
_PASSWORD = re.compile(r"(//[^/@:]*:).*@")

# A server that cannot be reached is noticed before people think that we hang; what a URL says itself comes first.
_POSTGRESQL_CONNECTION: dict[str, str | int] = {
    "application_name": "featlas",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# SQLSTATE: connection lost, too many connections, lock not available, deadlock or conflict, and the server going or
# coming. The same request may do in a while.
_PASSING_STATES = ("08", "53300", "55P03", "40", "57P01", "57P02", "57P03")
# Where no connection came about there is no state, only libpq's words.
_PASSING_WORDS = (
    "Connection refused",
    "timeout expired",
    "connection timeout",
    "server closed the connection",
    "is starting up",
    "is shutting down",
    "in recovery mode",
    "too many clients",
    "remaining connection slots",
    "No route to host",
    "Network is unreachable",
)


def parse_url(url: str) -> URL:
    """Validate a database URL and choose its driver; raises InputError."""
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        shown = _PASSWORD.sub(r"\1***@", url)
        raise InputError(f"{shown!r} is not a database URL; {_EXPECTED_URL}") from error
    if "@" in (parsed.host or ""):
        raise InputError(f"a database URL whose password holds @, which must be written %40; {_EXPECTED_URL}")
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InputError(f"database {kind!r} is not supported; {_EXPECTED_URL}")
    if not parsed.database or parsed.database == ":memory:":
        raise InputError(f"an in-memory SQLite database cannot be shared between processes; {_EXPECTED_URL}")
    return parsed.set(drivername="sqlite+pysqlite")


def make_engine(
    url: URL, *, foreign_keys: bool = True, limits: Mapping[str, str] | None = None, **options: Any
) -> Engine:
    """An engine with the store's connection settings; `options` go to SQLAlchemy's create_engine.

    `limits` are settings of a PostgreSQL session, such as lock_timeout. Makes the folder of a SQLite file; raises
    ExternalError where that is impossible.
    """
    is_postgresql = url.get_backend_name() == "postgresql"
    if options.get("poolclass") is not NullPool:
        options["pool_pre_ping"] = is_postgresql
    if is_postgresql:
        options["connect_args"] = {n: value for n, value in _POSTGRESQL_CONNECTION.items() if n not in url.query}
    engine = create_engine(url, json_serializer=_strict_json, **options)
    if is_postgresql:
        _limit(engine, limits or {})
    else:
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
    except exc.TimeoutError as error:
        raise ExternalError(
            f"every connection of this process to the database {url.render_as_string(hide_password=True)} is in use and"
            f" none came free in {BUSY_TIMEOUT_S} s; ask for less at a time, or raise FEATLAS_DATABASE_CONNECTIONS",
            retryable=True,
        ) from error
    except exc.DataError as error:
        cause = " ".join(str(error.orig).split())
        raise InputError(f"there is a value that no database holds or compares with: {cause}") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object!r} holds a character that no text can hold; take it out") from error
    except exc.DBAPIError as error:
        if isinstance(error, exc.OperationalError | exc.InterfaceError) or type(error) is exc.DatabaseError:
            raise _in_our_words(error, url) from error
        raise


def _is_unreachable(error: exc.DBAPIError, url: URL) -> bool:
    """Whether PostgreSQL did not answer or ended the connection: class 08, a shutdown (57P), or libpq's words."""
    if url.get_backend_name() != "postgresql" or not isinstance(error, exc.OperationalError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or any(words in str(error.orig) for words in _PASSING_WORDS)
    return state.startswith(("08", "57P"))


def _in_our_words(error: exc.DBAPIError, url: URL) -> InputError | ExternalError:
    name = url.render_as_string(hide_password=True)
    cause = " ".join(str(error.orig).split())  # a message is one line
    if "not a database" in cause:
        return InputError(f"{url.database} is not a SQLite database ({cause}); expected a file that Featlas made")
    if "is full" in cause or "No space left" in cause:
        return ExternalError(f"no room left in the database {name}: {cause}; free some space and try again")
    if _is_unreachable(error, url):
        return DatabaseUnreachable(f"the database {name} does not answer: {cause}; try again when it does")
    is_locked = "locked" in cause
    if is_locked:
        cause += f" by another process for {BUSY_TIMEOUT_S} s"
    return ExternalError(f"the database {name} failed: {cause}", retryable=is_locked or _is_passing(error, cause))


def _is_passing(error: exc.DBAPIError, cause: str) -> bool:
    """Whether the same may succeed in a while, with nobody doing anything about it."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return (
        error.connection_invalidated
        or state.startswith(_PASSING_STATES)
        or any(words in cause for words in _PASSING_WORDS)
    )


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


def _limit(engine: Engine, limits: Mapping[str, str]) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # By statement and not in the address: poolers between us and the server pass no options on.
        for name, value in limits.items():
            connection.execute(f"SET {name} = '{value}'")
        connection.commit()


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
