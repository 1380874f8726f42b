import multiprocessing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

import featlas.store
from featlas.errors import ConflictError
from featlas.store.database import make_engine, parse_url
from featlas.store.migrations import HEAD, KNOWN_REVISIONS
from featlas.store.search_index import is_ours
from featlas.store.session import Store
from featlas.store.tables import Row
from featlas.store.upgrade import check, upgrade


def test_migrating_from_empty_makes_exactly_the_tables_that_the_models_describe(empty_database_url: str):
    engine = make_engine(parse_url(empty_database_url), poolclass=sa.NullPool)
    Row.metadata.create_all(engine)
    expected = _schema(engine)
    Row.metadata.drop_all(engine)
    upgrade(empty_database_url)
    actual = _schema(engine)
    engine.dispose()
    assert set(actual) == set(expected)
    for name, table in expected.items():
        assert table == actual[name], name


def test_every_foreign_key_says_what_happens_on_delete():
    keys = [key for table in Row.metadata.tables.values() for key in table.foreign_keys]
    assert [str(key.parent) for key in keys if key.ondelete is None] == []


def test_every_foreign_key_is_the_start_of_an_index():
    """Or deleting a parent reads the whole child table."""
    missing = []
    for table in Row.metadata.tables.values():
        starts = {index.columns[0].name for index in table.indexes} | {table.primary_key.columns[0].name}
        starts |= {next(iter(c.columns)).name for c in table.constraints if isinstance(c, sa.UniqueConstraint)}
        missing += [str(key.parent) for key in table.foreign_keys if key.parent.name not in starts]
    assert missing == []


def test_known_revisions_are_those_of_the_migration_scripts_in_order():
    config = Config()
    config.set_main_option("script_location", str(Path(featlas.store.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(KNOWN_REVISIONS)
    assert scripts.get_current_head() == HEAD


def test_upgrade_twice_changes_nothing_the_second_time(empty_database_url: str):
    assert upgrade(empty_database_url) is None
    assert upgrade(empty_database_url) == HEAD
    assert check(empty_database_url).is_current


def test_check_reports_an_empty_database_as_behind(empty_database_url: str):
    found = check(empty_database_url)
    assert found.revision is None
    assert not found.is_current
    assert any("add_table" in line for line in found.drift)


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("ALTER TABLE runs ADD COLUMN odd INTEGER", "odd"),
        ("DROP INDEX ix_feature_tokens_snapshot_id_token_id", "ix_feature_tokens_snapshot_id_token_id"),
        ("CREATE TABLE stray (id INTEGER)", "stray"),
    ],
)
def test_check_names_every_drift_of_tables_columns_and_indexes(store: Store, store_url: str, statement: str, word: str):
    with store.write() as session:
        session.execute(sa.text(statement))
    found = check(store_url)
    assert not found.is_current
    assert any(word in line for line in found.drift), found.drift


def test_a_database_behind_the_code_asks_for_an_upgrade(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("featlas.store.session.HEAD", "9999")
    with pytest.raises(ConflictError, match=r"at revision 0005, older than 9999; run `featlas db upgrade`"):
        Store.open(store_url)


def test_a_database_ahead_of_the_code_asks_to_upgrade_featlas(store: Store, store_url: str):
    with store.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConflictError, match=r"at revision 9999.*upgrade featlas"):
        Store.open(store_url)
    with pytest.raises(ConflictError, match="upgrade featlas"):
        upgrade(store_url)


def test_a_database_without_our_tables_asks_for_an_upgrade(empty_database_url: str):
    engine = make_engine(parse_url(empty_database_url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE other (id INTEGER)"))
    engine.dispose()
    with pytest.raises(ConflictError, match=r"has no Featlas tables; run `featlas db upgrade`"):
        Store.open(empty_database_url)


def test_processes_that_open_the_same_new_store_at_once_all_succeed(empty_database_url: str):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        before = pool.map(upgrade, [empty_database_url] * 3)
    assert sorted(before, key=str) == [HEAD, HEAD, None]
    assert check(empty_database_url).is_current


def _schema(engine: sa.Engine) -> dict[str, dict[str, object]]:
    found = sa.inspect(engine)
    names = [name for name in found.get_table_names() if not is_ours(name, "table") and name != "alembic_version"]
    return {
        name: {
            "columns": [
                (c["name"], str(c["type"].compile(engine.dialect)), c["nullable"], c["default"])
                for c in sorted(found.get_columns(name), key=lambda c: c["name"])
            ],
            "primary_key": found.get_pk_constraint(name),
            "foreign_keys": _sorted(found.get_foreign_keys(name)),
            "unique": _sorted(found.get_unique_constraints(name)),
            "checks": _sorted(found.get_check_constraints(name)),
            "indexes": _sorted(index for index in found.get_indexes(name) if not is_ours(index["name"], "index")),
            "sqlite": _sqlite_words(engine, name),
        }
        for name in names
    }


def _sorted(things: Iterable[Any]) -> list[str]:
    return sorted(_plain(thing) for thing in things)


def _plain(thing: dict[str, Any]) -> str:
    options = {name: str(option) for name, option in thing.pop("dialect_options", {}).items()}
    return repr({**thing, **options})


def _sqlite_words(engine: sa.Engine, name: str) -> set[str]:
    """Table options that the inspector does not tell."""
    if engine.dialect.name != "sqlite":
        return set()
    with engine.connect() as connection:
        statement = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
        sql = connection.execute(statement, {"name": name}).scalar_one()
    return {word for word in ("WITHOUT ROWID", "AUTOINCREMENT") if word in sql}
