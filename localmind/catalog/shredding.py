"""Overwrites what was deleted: SQLite leaves it in free pages, and FTS5 in old segments, until somebody needs the room."""

from __future__ import annotations

import sqlalchemy as sa

from localmind.catalog.database import Database


def shred(database: Database) -> None:
    """Writes the file anew: needs as much room again, and takes about a second for 100 MB. Nobody else has the catalog open.

    PostgreSQL does the same for itself by and by (autovacuum); its log and its backups have their own times.
    """
    if not database.is_sqlite:
        return
    with database.write() as connection:
        connection.execute(sa.text("INSERT INTO chunk_fts(chunk_fts) VALUES ('optimize')"))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("VACUUM")
    database.fold()
