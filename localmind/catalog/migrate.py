"""Brings the catalog's schema up to date at start, under a lock; alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.errors import ConfigurationError
from localmind.versions import check_version

HEAD = "0012"
"""The newest migration; a test holds it against the scripts."""

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Raises ConfigurationError where a newer Local Mind wrote the catalog, or PostgreSQL is too old."""
    if not database.is_sqlite:
        with database.read() as connection:
            check_version("PostgreSQL", connection.exec_driver_sql("SHOW server_version").scalar_one())
    current = revision(database)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise ConfigurationError(
            f"The catalog was written by a newer Local Mind (schema {current}, this one knows {HEAD}).",
            hint="Start the newer version, or restore a backup made before the upgrade.",
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # an index on a large table takes minutes
            connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        database.hold("migrations")  # of several processes that start at once, one works and the others find it done
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revision(database: Database) -> str | None:
    """The catalog's schema version; None for an empty database."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
