"""A database with rows in every table, at any revision that ever was, is brought to this one's with every value."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy import NullPool
from tests.builders.full_tables import FIRST_ID, N_ROWS, fill_tables, read_rows

from featlas.store.database import make_engine, parse_url
from featlas.store.migrations import KNOWN_REVISIONS
from featlas.store.upgrade import _config, _migrating, check, upgrade

NEW_VALUES: dict[tuple[str, str], Any] = {
    ("prompt_templates", "is_shipped"): False,
    ("prompt_template_versions", "is_shipped"): False,
}
"""What stands in a column that a later revision added, where it is not nothing."""


_NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC).isoformat()
_NEEDED: dict[str, dict[str, Any]] = {
    "labels": {
        "uid": "new",
        "sae_id": 11,
        "feature_index": 0,
        "status": "labeled",
        "source": "human",
        "review_state": "unreviewed",
        "lint": "[]",
        "created_at": _NOW,
    },
    "jobs": {
        "uid": "new",
        "kind": "extraction",
        "spec": "{}",
        "spec_hash": "0" * 64,
        "state": "failed",
        "created_at": _NOW,
        "queued_at": _NOW,
    },
}


def upgrade_to(url: str, revision: str) -> None:
    with _migrating(url) as connection:
        command.upgrade(_config(connection), revision)


def at_work(url: str, act: Callable[[sa.Connection], Any]) -> Any:
    engine = make_engine(parse_url(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            return act(connection)
    finally:
        engine.dispose()


def give_ids(connection: sa.Connection) -> list[int]:
    """What the next label and the next job would be numbered: both are added and deleted."""
    found = []
    for table, values in _NEEDED.items():
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        insert = sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id")
        found.append(connection.execute(insert, values).scalar_one())
        connection.execute(sa.text(f"DELETE FROM {table} WHERE uid = 'new'"))
    return found


def count_on(connection: sa.Connection) -> None:
    """Rows with ids of their own do not move PostgreSQL's sequences."""
    if connection.dialect.name == "postgresql":
        for table in _NEEDED:
            last = f"(SELECT max(id) FROM {table})"
            connection.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})"))


@pytest.mark.parametrize("revision", KNOWN_REVISIONS[:-1])
def test_every_value_of_an_older_database_is_there_after_the_upgrade(empty_database_url: str, revision: str):
    url = empty_database_url
    upgrade_to(url, revision)
    filled = at_work(url, fill_tables)
    before = at_work(url, read_rows)
    at_work(url, count_on)
    assert at_work(url, give_ids) == [FIRST_ID + N_ROWS, FIRST_ID + N_ROWS]
    assert upgrade(url) == revision
    assert check(url).drift == ()
    after = at_work(url, read_rows)
    assert {name: len(rows) for name, rows in before.items()} == filled
    for table, rows in before.items():
        kept = [{name: value for name, value in row.items() if name in rows[0]} for row in after[table]]
        assert rows == kept, table
        for name in set(after[table][0]) - set(rows[0]):
            assert {row[name] for row in after[table]} == {NEW_VALUES.get((table, name))}, (table, name)
    assert all(after[table] == [] for table in set(after) - set(before))
    # SQLite makes tables anew, which must not forget the ids of rows that were deleted.
    assert at_work(url, give_ids) == [FIRST_ID + N_ROWS + 1, FIRST_ID + N_ROWS + 1]
