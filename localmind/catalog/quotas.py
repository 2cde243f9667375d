"""What a tenant holds, all its spaces together, and the limits that it has of its own.

A tenant is the partition of its default space and those of its others; see docs/adr/0017-spaces-are-partitions.md. So these queries
are the ones that look into several partitions, always of one tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa

from localmind.catalog.account_tables import space
from localmind.catalog.database import Database
from localmind.catalog.jobs import OPEN
from localmind.catalog.tables import job, quota, revision, source
from localmind.model import TenantId


class Held(NamedTuple):
    """What a tenant has. size_bytes and chunks: of all versions that are kept, of deleted sources until their jobs have run.

    jobs: queued or running, but those that delete.
    """

    documents: int
    size_bytes: int
    chunks: int
    jobs: int


class QuotaTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def tenant_of(self, partition: TenantId) -> TenantId:
        """The tenant whose space it is; itself where it is a default space."""
        with self._db.across(), self._db.read() as connection:
            owner = connection.execute(sa.select(space.c.tenant).where(space.c.id == partition)).scalar_one_or_none()
        return partition if owner is None else TenantId(owner)

    def held(self, tenant: TenantId) -> Held:
        """What the tenant has now, in one query over indexes."""
        partitions = _partitions(tenant)
        documents = sa.select(sa.func.count()).where(source.c.tenant.in_(partitions), source.c.deleted_at.is_(None))
        size = sa.select(sa.func.coalesce(sa.func.sum(revision.c.size_bytes), 0)).where(revision.c.tenant.in_(partitions))
        chunks = sa.select(sa.func.coalesce(sa.func.sum(revision.c.chunks), 0)).where(revision.c.tenant.in_(partitions))
        jobs = sa.select(sa.func.count()).where(job.c.tenant.in_(partitions), job.c.status.in_(OPEN), job.c.kind != "delete")
        query = sa.select(*(each.scalar_subquery() for each in (documents, size, chunks, jobs)))
        with self._db.across(), self._db.read() as connection:
            return Held(*map(int, connection.execute(query).one()))

    def hold(self, tenant: TenantId) -> None:
        """Inside write(), as the last name that is taken: nobody else adds to what the tenant holds until the transaction's end."""
        self._db.hold(f"quota {tenant}")

    def of(self, tenant: TenantId) -> dict[str, float]:
        """Its own limits by name."""
        with self._db.across(), self._db.read() as connection:
            rows = connection.execute(sa.select(quota.c.name, quota.c.value).where(quota.c.tenant == tenant))
            return {row.name: float(row.value) for row in rows}

    def change(self, tenant: TenantId, values: Mapping[str, float | None]) -> None:
        """Set limits of its own; None: as the settings have it."""
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(quota).where(quota.c.tenant == tenant, quota.c.name.in_(list(values))))
            rows = [{"tenant": tenant, "name": name, "value": value} for name, value in values.items() if value is not None]
            if rows:
                connection.execute(sa.insert(quota), rows)


def _partitions(tenant: TenantId) -> sa.CompoundSelect[tuple[str]]:
    return sa.union_all(sa.select(sa.literal(tenant)), sa.select(space.c.id).where(space.c.tenant == tenant))
