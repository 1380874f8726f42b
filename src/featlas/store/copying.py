"""Copying a whole store into an empty database of either kind, so that nothing is lost, changed or half there."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Column, bindparam, exc, select, text, update
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from featlas.domain import JobState
from featlas.errors import ConflictError, ExternalError, InputError, NotFoundError
from featlas.store.database import find_revision, is_new_file, make_engine, parse_url, translated
from featlas.store.lease_owner import Owner
from featlas.store.plain_rows import Digest, PlainRow, PlainTable
from featlas.store.row_ids import carry_last_ids
from featlas.store.session import Store
from featlas.store.tables import JobRow, JobShardRow, Row, utc_now
from featlas.store.upgrade import upgrade

_BATCH = 2000


@dataclass(frozen=True)
class CopiedTable:
    """A table that arrived whole: its rows, and the seconds that copying and comparing took."""

    name: str
    n_rows: int
    seconds: float


@dataclass(frozen=True)
class Copy:
    """What was copied, from where to where; addresses are without passwords."""

    source: str
    target: str
    tables: tuple[CopiedTable, ...]

    @property
    def n_rows(self) -> int:
        """The rows of all tables."""
        return sum(table.n_rows for table in self.tables)


def copy_store(source_url: str, target_url: str, *, while_working: bool = False) -> Copy:
    """Copy every row of a store, ids and all, into a database that has none.

    The source is read as it is at one moment. The target is written in one transaction, which is committed only after
    every table was read back and compared, so an interrupted copy leaves no rows at all. Tables are made where there
    are none. A source in which a live worker holds a job is refused, or the work would go on where nobody looks any
    more; `while_working` is for backups, where the job is as if its worker had died.

    Raises NotFoundError where there is no source, ConflictError for a target with rows, for either at another revision,
    and for a job that is worked on.
    """
    source, target = parse_url(source_url), parse_url(target_url)
    if is_new_file(source):
        raise NotFoundError(f"there is no database {_name(source)}; expected a store that Featlas made")
    if _is_same(source, target):
        raise InputError(f"{_name(source)} cannot be copied onto itself; name another database")
    with closing(Store.open(source_url)) as origin:
        _make_tables(target_url, target)
        with closing(Store.open(target_url)) as copy:
            with origin.read() as reading, copy.write() as writing:
                _hold(writing, _name(target))
                if not while_working:
                    _require_idle(reading)
                tables = _copy_tables(reading, writing)
            _settle(copy)
    return Copy(_name(source), _name(target), tables)


def _name(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _is_same(source: URL, target: URL) -> bool:
    if source.get_backend_name() == target.get_backend_name() == "sqlite":
        return Path(source.database or "").resolve() == Path(target.database or "").resolve()
    return source == target


def _make_tables(url: str, target: URL) -> None:
    """The schema of this code, where the target has none yet; an older one is for its owner to upgrade."""
    if is_new_file(target):
        upgrade(url)
        return
    engine = make_engine(target, poolclass=NullPool)
    try:
        with translated(target), engine.connect() as connection:
            found = find_revision(connection)
    finally:
        engine.dispose()
    if found is None:
        upgrade(url)


def _plain_tables() -> list[PlainTable]:
    """Every table, those that others refer to first."""
    classes = {mapper.local_table: mapper.class_ for mapper in Row.registry.mappers}
    return [PlainTable(classes[table]) for table in Row.metadata.sorted_tables]


def _hold(session: Session, name: str) -> None:
    """Keep other writers away until the copy is there, and make sure that none came before."""
    tables = _plain_tables()
    if session.connection().dialect.name == "postgresql":
        session.execute(text(f"LOCK TABLE {', '.join(t.name for t in tables)} IN SHARE ROW EXCLUSIVE MODE"))
    filled = [table.name for table in tables if not table.is_empty(session)]
    if filled:
        raise ConflictError(
            f"the database {name} holds rows already (in {', '.join(filled)}); expected an empty one, for example a new"
            " file or a database made with createdb"
        )


def _require_idle(session: Session) -> None:
    running = select(JobRow.id, JobRow.lease_owner, JobRow.lease_until).where(JobRow.state == JobState.RUNNING)
    shards = select(JobShardRow.job_id, JobShardRow.lease_owner, JobShardRow.lease_until)
    for statement in (running, shards.where(JobShardRow.finished_at.is_(None))):
        for job_id, owner, until in session.execute(statement):
            if owner and until and until > utc_now() and not Owner.parse(owner).is_known_dead:
                raise ConflictError(
                    f"job {job_id} is being worked on by {owner}, whose work would be missing in the copy; pause or"
                    " cancel it, or wait for its end, and stop the workers"
                )


def _copy_tables(reading: Session, writing: Session) -> tuple[CopiedTable, ...]:
    tables = _plain_tables()
    order = {table.table: at for at, table in enumerate(tables)}
    seconds: dict[str, float] = {}
    digests: dict[str, Digest] = {}
    later: dict[str, list[Column]] = {}
    for table in tables:
        began = time.perf_counter()
        later[table.name] = [
            key.parent for key in table.table.foreign_keys if order[key.column.table] >= order[table.table]
        ]
        digests[table.name] = _copy_rows(reading, writing, table, later[table.name])
        seconds[table.name] = time.perf_counter() - began
    for table in tables:
        began = time.perf_counter()
        for column in later[table.name]:
            _point(reading, writing, table, column)
        _require_equal(writing, table, digests[table.name])
        seconds[table.name] += time.perf_counter() - began
    carry_last_ids(reading.connection(), writing.connection())
    return tuple(CopiedTable(name, digest.n_rows, seconds[name]) for name, digest in digests.items())


def _copy_rows(reading: Session, writing: Session, table: PlainTable, later: list[Column]) -> Digest:
    """Copy a table; columns that point to rows that are not there yet stay empty for now."""
    digest = Digest()
    blank = {table.columns.index(column.name) for column in later}
    for rows in table.read(reading):
        digest.add(rows)
        try:
            table.write(writing, [_without(row, blank) for row in rows] if blank else rows)
        except (exc.DataError, exc.IntegrityError) as error:
            cause = " ".join(str(error.orig).split())
            raise ConflictError(
                f"a row of {table.name} does not fit the other database: {cause}; nothing was copied"
            ) from error
    return digest


def _without(row: PlainRow, blank: set[int]) -> PlainRow:
    return tuple(None if at in blank else value for at, value in enumerate(row))


def _point(reading: Session, writing: Session, table: PlainTable, column: Column) -> None:
    """Fill in a column that was left empty."""
    (key,) = table.table.primary_key.columns
    pairs = select(key.label("of"), column.label("to")).where(column.is_not(None))
    statement = update(table.table).where(key == bindparam("of")).values({column.name: bindparam("to")})
    for rows in reading.execute(pairs, execution_options={"yield_per": _BATCH}).mappings().partitions():
        writing.connection().execute(statement, [dict(row) for row in rows])


def _require_equal(session: Session, table: PlainTable, expected: Digest) -> None:
    found = Digest()
    for rows in table.read(session):
        found.add(rows)
    if found != expected:
        raise ExternalError(
            f"the copy of {table.name} differs from the original ({found.n_rows} rows, expected {expected.n_rows});"
            " nothing was kept; check the disks of both databases and try again"
        )


def _settle(store: Store) -> None:
    """PostgreSQL plans by what it knows of the tables, and searches what is not in an index yet one by one."""
    if store.url.get_backend_name() == "postgresql":
        tables = ", ".join(table.name for table in _plain_tables())
        with translated(store.url), store.engine.connect() as connection:
            outside = connection.execution_options(isolation_level="AUTOCOMMIT")
            outside.exec_driver_sql(f"VACUUM (ANALYZE) {tables}")
