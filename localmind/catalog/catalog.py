"""The catalog: one database, one object for each group of tables."""

from __future__ import annotations

import sqlalchemy as sa

from localmind.catalog.chunks import Chunks
from localmind.catalog.database import Database
from localmind.catalog.jobs import JobTable
from localmind.catalog.sources import SourceTable
from localmind.catalog.tables import setting


class Catalog:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.sources = SourceTable(database)
        self.chunks = Chunks(database)
        self.jobs = JobTable(database)

    def setting(self, name: str) -> object:
        """A kept fact about the stores; None where it was never set."""
        with self.database.read() as connection:
            return connection.execute(sa.select(setting.c.value).where(setting.c.name == name)).scalar_one_or_none()

    def set_setting(self, name: str, value: object) -> None:
        with self.database.write() as connection:
            connection.execute(sa.delete(setting).where(setting.c.name == name))
            connection.execute(sa.insert(setting).values(name=name, value=value))
