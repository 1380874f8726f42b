"""The history of the schema; the list is kept here so that opening a store need not load Alembic to know it."""

KNOWN_REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD = KNOWN_REVISIONS[-1]
