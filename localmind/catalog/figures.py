"""Figures of the whole catalog, all tenants together, for whoever watches the service. Never what a tenant may see."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.tables import chunk, job, revision, source, tenant, usage
from localmind.model import JobStatus


class Queue(NamedTuple):
    """depth: queued jobs. oldest_s: for how long the oldest of them has waited since it was queued or last tried."""

    depth: int
    oldest_s: float


class FigureTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def queues(self) -> dict[str, Queue]:
        """By the jobs' kind; one without queued jobs is left out. Reads no other jobs."""
        now = self._db.now()
        oldest = sa.func.max(now - job.c.updated_at)
        query = sa.select(job.c.kind, sa.func.count(), oldest).where(job.c.status == JobStatus.QUEUED).group_by(job.c.kind)
        with self._db.read() as connection:
            return {kind: Queue(int(depth), max(0.0, float(oldest_s))) for kind, depth, oldest_s in connection.execute(query)}

    def items(self) -> dict[str, int]:
        """How many tenants, sources and chunks there are, and the bytes of the original files. Reads whole indexes."""
        counted = {"tenants": sa.select(sa.func.count()).select_from(tenant)}
        counted |= {"sources": sa.select(sa.func.count()).select_from(source), "chunks": sa.select(sa.func.count()).select_from(chunk)}
        counted |= {"file_bytes": sa.select(sa.func.coalesce(sa.func.sum(revision.c.size_bytes), 0))}
        with self._db.read() as connection:
            row = connection.execute(sa.select(*(query.scalar_subquery().label(name) for name, query in counted.items()))).one()
        return {name: int(value) for name, value in row._mapping.items()}

    def size_bytes(self) -> int | None:
        """Of the database; None for SQLite, whose file says it."""
        if self._db.is_sqlite:
            return None
        with self._db.read() as connection:
            return int(connection.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one())

    def usage(self, day: str) -> dict[str, int]:
        """Amounts of a day (2026-01-31) by kind, all tenants together."""
        query = sa.select(usage.c.kind, sa.func.sum(usage.c.amount)).where(usage.c.day == day).group_by(usage.c.kind)
        with self._db.read() as connection:
            return {kind: int(amount) for kind, amount in connection.execute(query)}

    def most_usage(self, day: str, *, limit: int) -> list[tuple[str, int, int]]:
        """(kind, rank from 1, amount) of the tenants that used most of each kind that day: not which they are."""
        rank = sa.func.row_number().over(partition_by=usage.c.kind, order_by=usage.c.amount.desc()).label("rank")
        ranked = sa.select(usage.c.kind, rank, usage.c.amount).where(usage.c.day == day).subquery()
        with self._db.read() as connection:
            rows = connection.execute(sa.select(ranked).where(ranked.c.rank <= limit))
            return [(str(row.kind), int(row.rank), int(row.amount)) for row in rows]
