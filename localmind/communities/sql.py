"""The entity network in the catalog's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from localmind.catalog.chunks import batched
from localmind.catalog.database import Database
from localmind.communities.port import Counted, Link, Shown
from localmind.graph.statements import rows
from localmind.model import CommunityId, EntityId, TenantId

BATCH = 2_000

# Along entity_by_mentions, which has all that is read.
ENTITIES = """
SELECT id, mentions, key FROM entity
WHERE tenant = :tenant AND mentions <= :mentions AND (mentions < :mentions OR key > :after)
ORDER BY mentions DESC, key LIMIT :limit"""
_LINK = "SELECT a.id AS source, b.id AS target, r.weight FROM TEXTS(:ids) AS asked "
_SOURCE = """
CROSS JOIN entity AS a CROSS JOIN relation AS r CROSS JOIN entity AS b
WHERE a.id = asked.value AND a.tenant = :tenant AND r.source_pk = a.pk AND b.pk = r.target_pk"""
_TARGET = """
CROSS JOIN entity AS b CROSS JOIN relation AS r CROSS JOIN entity AS a
WHERE b.id = asked.value AND b.tenant = :tenant AND r.target_pk = b.pk AND a.pk = r.source_pk"""
LEAVING = _LINK + _SOURCE
AMONG = LEAVING + " AND b.id IN TEXTS(:ids)"


class SqlNetwork:
    def __init__(self, database: Database) -> None:
        self._db = database

    def entities(self, tenant: TenantId) -> Iterator[Sequence[Counted]]:
        mentions, after = 2**31 - 1, ""
        while rows := self._read(ENTITIES, tenant=tenant, mentions=mentions, after=after, limit=BATCH):
            yield [Counted(row.id, row.mentions) for row in rows]
            mentions, after = rows[-1].mentions, rows[-1].key

    def leaving(self, tenant: TenantId, entities: Sequence[EntityId]) -> Iterator[Sequence[Link]]:
        for batch in batched(entities, BATCH):
            yield [Link(*row) for row in self._read(LEAVING, tenant=tenant, ids=batch)]

    def touching(self, tenant: TenantId, entities: Sequence[EntityId]) -> Iterator[Sequence[Link]]:
        yield from self.leaving(tenant, entities)
        own = frozenset(entities)  # what leaves one of these was given already
        for batch in batched(entities, BATCH):
            yield [Link(*row) for row in self._read(_LINK + _TARGET, tenant=tenant, ids=batch) if row.source not in own]

    def among(self, tenant: TenantId, entities: Sequence[EntityId]) -> list[Link]:
        return [Link(*row) for row in self._read(AMONG, tenant=tenant, ids=list(entities))]

    def show(self, tenant: TenantId, changed: Sequence[Shown], gone: Sequence[CommunityId]) -> None:
        """The catalog has them."""

    def hide_all(self, tenant: TenantId) -> None:
        """The catalog has them."""

    def _read(self, sql: str, *, tenant: TenantId, **values: Any) -> Sequence[Any]:
        with self._db.read(tenant) as connection:
            return rows(connection, sql, tenant=tenant, **values)
