"""Alembic's entry: runs in the connection and transaction that migrate() opened."""

from alembic import context

from localmind.catalog.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
