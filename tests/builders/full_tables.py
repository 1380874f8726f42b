"""Rows in every table of a database at any revision: every type at its edges, every link, nulls where they may be."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from featlas.store.tables import Row

N_ROWS = 3
FIRST_ID = 11
CHOICES = {
    "state": {"jobs": ("succeeded", "paused", "failed"), "runs": ("finished", "pending", "finished")},
    "origin": ("trained", "external", "trained"),
    "status": ("labeled", "abstained", "failed"),
    "source": {"labels": ("human", "llm", "rule")},
    "label_source": ("human", "llm", None),
    "review_state": ("unreviewed", "accepted", "rejected"),
    "failure_cause": ("rate_limit", None, "server"),
    "action": ("accept", "write", "skip"),
    "kind": {
        "access_tokens": ("token", "login", "session"),
        "feature_neighbours": ("decoder", "encoder", "decoder"),
    },
    "method": {"sae_maps": ("pca", "umap", "pca")},
    "scope": ("read", "write", "read"),
    "split": (0, 1, 0),
    "unit": ("token", "context", "token"),
    "measure": ("cosine", "pearson", "jaccard"),
    "reason": ("dead", "constant", None),
    "confidence": (0.0, 1.0, None),
    "is_default": (True, False, False),
}
TEXT = 'a "word", ' + "\u00e9 \u4e2d \U0001f600 \\ \t % \x1f '"
FULL_JSON = {"empty": {}, "list": [1, 2.5, 1e-300, None, True], "text": TEXT, "big": 2**53 + 1}
BIG = 2**62
LINKS_AHEAD = (
    ("runs", "current_snapshot_id", (FIRST_ID, FIRST_ID + 1, None)),
    ("labels", "superseded_by", (FIRST_ID + 2, None, FIRST_ID)),
)
"""Columns that point to rows which are written after theirs."""


def fill_tables(connection: sa.Connection) -> dict[str, int]:
    """Put N_ROWS rows into every table that the database has; returns how many rows each has."""
    tables = read_tables(connection)
    for table in tables:
        connection.execute(table.insert(), [_row(table, at) for at in range(N_ROWS)])
    for name, column, links in LINKS_AHEAD:
        (table,) = [table for table in tables if table.name == name]
        for at, to in enumerate(links):
            connection.execute(table.update().where(table.c.id == FIRST_ID + at).values({column: to}))
    return {table.name: N_ROWS for table in tables}


def read_tables(connection: sa.Connection) -> list[sa.Table]:
    """The tables as they are in the database, those that others refer to first."""
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name in Row.metadata.tables, resolve_fks=False)
    tables = [found.tables[table.name] for table in Row.metadata.sorted_tables if table.name in found.tables]
    for column in (column for table in tables for column in table.columns):
        if isinstance(column.type, sa.JSON):
            column.type = sa.JSON(none_as_null=True)
    return tables


def read_rows(connection: sa.Connection) -> dict[str, list[dict[str, Any]]]:
    """Every table's rows by key, as the database gives them, JSON as its text."""
    found = {}
    for table in read_tables(connection):
        columns = [sa.cast(c, sa.Text).label(c.name) if isinstance(c.type, sa.JSON) else c for c in table.columns]
        rows = connection.execute(sa.select(*columns).order_by(*table.primary_key)).mappings()
        found[table.name] = [dict(row) for row in rows]
    return found


def _row(table: sa.Table, at: int) -> dict[str, Any]:
    return {column.name: _value(table, column, at) for column in table.columns}


def _value(table: sa.Table, column: sa.Column, at: int) -> Any:
    chosen = CHOICES.get(column.name)
    if isinstance(chosen, dict):
        chosen = chosen.get(table.name)
    if chosen is not None:
        return chosen[at]
    target = next((key.target_fullname for key in column.foreign_keys), "")
    if target:
        return _link(table, column, at)
    if column.primary_key and column.name == "id":
        return FIRST_ID + at
    if column.nullable and at == N_ROWS - 1:
        return None
    return _of_type(f"{table.name}.{column.name}", column, at)


def _link(table: sa.Table, column: sa.Column, at: int) -> int | None:
    if (table.name, column.name) in {link[:2] for link in LINKS_AHEAD}:
        return None
    if column.name == "restored_from":
        return FIRST_ID + at - 1 if at else None
    return None if column.nullable and at == N_ROWS - 1 else FIRST_ID + at


def _of_type(name: str, column: sa.Column, at: int) -> Any:
    kind = column.type
    if isinstance(kind, sa.JSON):
        return (sa.JSON.NULL, {"n": at}, FULL_JSON)[(at + len(name)) % 3]
    if isinstance(kind, sa.DateTime):
        instant = dt.datetime(2026, 2, 28, 23, 59, 59, 999_999 - at, tzinfo=dt.UTC)
        return instant if kind.timezone else instant.replace(tzinfo=None)
    if isinstance(kind, sa.Boolean):
        return bool(at % 2)
    if isinstance(kind, sa.LargeBinary):
        return bytes(range(256)) * at
    if isinstance(kind, sa.BigInteger):
        return BIG + at
    if isinstance(kind, sa.Integer):
        return 2**31 - 1 - at
    if isinstance(kind, sa.Float):
        return (0.1, -1.7976931348623157e308, 5e-324)[at]
    text = f"{at} {name} {TEXT}"
    return text[: kind.length] if isinstance(kind, sa.String) and kind.length else text
