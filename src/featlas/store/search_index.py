"""The trigram index over labels, written as SQL because neither database's kind fits a model: FTS5 or pg_trgm."""

from sqlalchemy import Connection, text

TABLE = "feature_text"
PG_INDEX = "ix_feature_state_search_text_trgm"

# The row id of a label in the FTS table: SAE and feature in one integer, so that a search stays within one SAE.
SAE_SHIFT = 32

_SQLITE = f"""
CREATE VIRTUAL TABLE {TABLE} USING fts5(search_text, tokenize = 'trigram case_sensitive 1');

CREATE TRIGGER {TABLE}_insert AFTER INSERT ON feature_state WHEN new.search_text <> '' BEGIN
    INSERT INTO {TABLE} (rowid, search_text)
    VALUES ((new.sae_id << {SAE_SHIFT}) | new.feature_index, new.search_text);
END;

CREATE TRIGGER {TABLE}_update AFTER UPDATE OF sae_id, feature_index, search_text ON feature_state BEGIN
    DELETE FROM {TABLE} WHERE rowid = (old.sae_id << {SAE_SHIFT}) | old.feature_index;
    INSERT INTO {TABLE} (rowid, search_text)
    SELECT (new.sae_id << {SAE_SHIFT}) | new.feature_index, new.search_text WHERE new.search_text <> '';
END;

CREATE TRIGGER {TABLE}_delete AFTER DELETE ON feature_state BEGIN
    DELETE FROM {TABLE} WHERE rowid = (old.sae_id << {SAE_SHIFT}) | old.feature_index;
END
"""


def create_search_index(connection: Connection) -> None:
    """Make the index; where PostgreSQL lacks pg_trgm or the right to load it, searches scan the labels instead."""
    if connection.dialect.name == "sqlite":
        for statement in _SQLITE.split("\n\n"):
            connection.exec_driver_sql(statement.strip().removesuffix(";"))
    elif _may_use_pg_trgm(connection):
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
        connection.execute(text(f"CREATE INDEX {PG_INDEX} ON feature_state USING gin (search_text gin_trgm_ops)"))


def is_ours(name: str | None, kind: str) -> bool:
    """Whether a table or index found in the database belongs to the search index."""
    if kind == "table":
        return name is not None and (name == TABLE or name.startswith(f"{TABLE}_"))
    return name == PG_INDEX


def _may_use_pg_trgm(connection: Connection) -> bool:
    return connection.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm')"
            " OR (EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm')"
            "     AND has_database_privilege(current_database(), 'CREATE'))"
        )
    ).scalar_one()
