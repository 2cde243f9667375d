"""The catalog: one database, one object for each group of tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from localmind.catalog.chunks import Chunks
from localmind.catalog.database import Database
from localmind.catalog.jobs import JobTable
from localmind.catalog.sources import SourceTable
from localmind.catalog.tables import setting
from localmind.catalog.workers import WorkerTable
from localmind.model import TenantId


class Catalog:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.sources = SourceTable(database)
        self.chunks = Chunks(database)
        self.jobs = JobTable(database)
        self.workers = WorkerTable(database)

    @contextmanager
    def alone(self, tenant: TenantId) -> Iterator[None]:
        """A write() beside which nobody else accepts documents of the tenant, deletes them, or removes their blobs.

        So: one source for one content or address, versions that count up, and no blob that goes while a row for it comes.
        """
        with self.database.write():
            self.database.hold(f"tenant {tenant}")
            yield

    def setting(self, name: str) -> object:
        """A kept fact about the stores; None where it was never set."""
        with self.database.read() as connection:
            return connection.execute(sa.select(setting.c.value).where(setting.c.name == name)).scalar_one_or_none()

    def set_setting(self, name: str, value: object) -> None:
        with self.database.write() as connection:
            insert = self.database.insert(setting).values(name=name, value=value)
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value}))
