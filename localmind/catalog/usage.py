"""What each tenant used, its spaces together, by day."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.tables import usage
from localmind.model import TenantId


class UsageTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, amounts: Mapping[tuple[TenantId, str, str], int]) -> None:
        """Add to (tenant, day, kind), also inside a transaction for one of the tenant's spaces. day: 2026-01-31."""
        if not amounts:
            return
        insert = self._db.insert(usage)
        added = insert.on_conflict_do_update(
            index_elements=["tenant", "day", "kind"], set_={"amount": usage.c.amount + insert.excluded.amount}
        )
        # In one order, since two processes that take the same rows in two orders would wait for each other.
        rows = [{"tenant": tenant, "day": day, "kind": kind, "amount": amounts[tenant, day, kind]} for tenant, day, kind in sorted(amounts)]
        with self._db.across(), self._db.write() as connection:
            connection.execute(added, rows)

    def by_day(self, tenant: TenantId, first: str, last: str) -> dict[str, dict[str, int]]:
        """Amounts by kind of each day that has some, from first to last."""
        query = sa.select(usage).where(usage.c.tenant == tenant, usage.c.day.between(first, last))
        found: dict[str, dict[str, int]] = {}
        with self._db.read(tenant) as connection:
            for row in connection.execute(query):
                found.setdefault(row.day, {})[row.kind] = int(row.amount)
        return found
