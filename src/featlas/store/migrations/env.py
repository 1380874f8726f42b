"""What Alembic runs for every command: it migrates on the connection that `store.upgrade` passes in."""

from alembic import context

from featlas.store.tables import Row

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Row.metadata,
    render_as_batch=True,
    # The caller holds one transaction around everything, on SQLite too.
    transactional_ddl=True,
    **context.config.attributes["compare"],
)
context.run_migrations()
