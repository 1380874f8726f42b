"""The declarative root of every table and the column types that must mean the same on SQLite and PostgreSQL."""

import datetime as dt
import enum
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, DateTime, Enum, Integer, LargeBinary, MetaData, String
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from featlas.errors import InputError


class UtcDateTime(TypeDecorator[dt.datetime]):
    """An instant: naive datetimes are refused going in, every datetime coming out is in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """TIMESTAMP WITH TIME ZONE where there is one."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """To UTC; SQLite has no zones, so the stored wall time is UTC's."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise InputError(f"naive datetime {value.isoformat()}; expected one with a time zone, for example UTC")
        utc = value.astimezone(dt.UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """From the database's zone (or SQLite's bare UTC) to aware UTC."""
        if value is None:
            return None
        return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)


def utc_now() -> dt.datetime:
    """The present instant, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def checked(members: type[enum.Enum], name: str) -> Enum:
    """A VARCHAR column that holds the values of `members` and has a CHECK that says so."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=True,
        length=16,
        name=name,
        values_callable=lambda kind: [str(member.value) for member in kind],
        validate_strings=True,
    )


# SQLite numbers rows by itself only where the key is exactly INTEGER (which holds 64 bits there).
BigKey = BigInteger().with_variant(Integer, "sqlite")

NEVER_REUSED = {"sqlite_autoincrement": True}
"""Table option: ids that people and caches hold on to are not given again after a deletion (PostgreSQL never does)."""

Id = Annotated[int, mapped_column(BigKey, primary_key=True, autoincrement=True)]
Uid = Annotated[str, mapped_column(String(36), unique=True)]
Fingerprint = Annotated[str, mapped_column(String(64), unique=True)]
Count = Annotated[int, mapped_column(BigInteger)]
Blob = Annotated[bytes, mapped_column(LargeBinary)]
Json = Annotated[dict[str, Any], mapped_column(JSON)]
# JSON null and SQL NULL must not both occur: a missing object is SQL NULL.
JsonOrNone = Annotated[dict[str, Any] | None, mapped_column(JSON(none_as_null=True))]
JsonList = Annotated[list[Any], mapped_column(JSON)]
Instant = Annotated[dt.datetime, mapped_column(UtcDateTime)]
CreatedAt = Annotated[dt.datetime, mapped_column(UtcDateTime, default=utc_now)]
InstantOrNone = Annotated[dt.datetime | None, mapped_column(UtcDateTime)]


class Row(DeclarativeBase):
    """The root of all tables; constraints are named by one convention, so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
