"""What an LLM cost each tenant, its spaces together, by day."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.tables import spending
from localmind.llm.metering import Spent
from localmind.model import TenantId


class Bill(NamedTuple):
    spent: Spent = Spent()
    cost: float = 0.0


class SpendingTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: TenantId, day: str, model: str, spent: Spent, cost: float) -> None:
        """Add to the day's bill. day: 2026-01-31."""
        amounts = {**spent._asdict(), "cost": cost}
        insert = self._db.insert(spending).values(tenant=tenant, day=day, model=model[:128], **amounts)
        added = {name: spending.c[name] + insert.excluded[name] for name in amounts}
        with self._db.write(tenant) as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "day", "model"], set_=added))

    def since(self, tenant: TenantId, day: str) -> Bill:
        """The bill of that day and all after it."""
        amounts = [sa.func.coalesce(sa.func.sum(spending.c[name]), 0) for name in (*Spent._fields, "cost")]
        query = sa.select(*amounts).where(spending.c.tenant == tenant, spending.c.day >= day)
        with self._db.read(tenant) as connection:
            *counts, cost = connection.execute(query).one()
        return Bill(Spent(*map(int, counts)), float(cost))

    def by_day(self, tenant: TenantId, first: str, last: str) -> dict[str, Bill]:
        """The bill of each day that has one, from first to last."""
        amounts = [sa.func.sum(spending.c[name]) for name in (*Spent._fields, "cost")]
        query = sa.select(spending.c.day, *amounts).where(spending.c.tenant == tenant, spending.c.day.between(first, last))
        with self._db.read(tenant) as connection:
            rows = connection.execute(query.group_by(spending.c.day)).all()
        return {day: Bill(Spent(*map(int, counts)), float(cost)) for day, *counts, cost in rows}
