"""The entity network in Neo4j, and its communities where people explore it.

(:Community {tenant, id, level, title, summary, size}) -[:PART_OF]-> (:Community)      a finer one in its parent
(:Entity) -[:PART_OF]-> (:Community)                                                   the finest that has it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from localmind.catalog.chunks import batched
from localmind.communities.port import Counted, Link, Shown
from localmind.model import CommunityId, EntityId, TenantId
from localmind.neo4j import Neo4jDriver
from localmind.neo4j.chunks import ids_in
from localmind.neo4j.driver import rows

BATCH = 1_000
READ_S = 60.0
"""Longest time of one read. Nobody waits for these, and a batch may hold entities with a hundred thousand relations."""

MEMBERS_A_WRITE = 5_000

ENTITIES = """
MATCH (e:Entity) WHERE e.tenant = $tenant AND e.id > $after AND e.mentions > 0
RETURN e.id AS id, e.mentions AS mentions ORDER BY e.tenant, e.id LIMIT $limit"""
LEAVING = """
UNWIND $ids AS id MATCH (a:Entity {tenant: $tenant, id: id})-[r:RELATED]->(b:Entity)
RETURN a.id AS source, b.id AS target, r.weight AS weight"""
ARRIVING = """
UNWIND $ids AS id MATCH (b:Entity {tenant: $tenant, id: id})<-[r:RELATED]-(a:Entity)
RETURN a.id AS source, b.id AS target, r.weight AS weight"""
AMONG = """
UNWIND $ids AS id MATCH (a:Entity {tenant: $tenant, id: id})-[r:RELATED]->(b:Entity) WHERE b.id IN $ids
RETURN a.id AS source, b.id AS target, r.weight AS weight"""

PUT = """
UNWIND $rows AS row MERGE (c:Community {tenant: $tenant, id: row.id})
SET c.level = row.level, c.title = row.title, c.summary = row.summary, c.size = row.size"""
PUT_PARENTS = """
UNWIND $rows AS row MATCH (c:Community {tenant: $tenant, id: row.id})
OPTIONAL MATCH (c)-[old:PART_OF]->(:Community) DELETE old
WITH c, row MATCH (p:Community {tenant: $tenant, id: row.parent_id}) MERGE (c)-[:PART_OF]->(p)"""
DROP_MEMBERS = """
UNWIND $ids AS id MATCH (:Community {tenant: $tenant, id: id})<-[m:PART_OF]-(:Entity) WITH m LIMIT $limit
DELETE m RETURN count(*) AS deleted"""
PUT_MEMBERS = """
UNWIND $members AS member MATCH (c:Community {tenant: $tenant, id: member[1]})
MATCH (e:Entity {tenant: $tenant, id: member[0]}) MERGE (e)-[:PART_OF]->(c)"""
DROP = "UNWIND $ids AS id MATCH (c:Community {tenant: $tenant, id: id}) DETACH DELETE c"
ALL = "MATCH (c:Community) WHERE c.tenant = $tenant RETURN c.id AS id LIMIT $limit"


class Neo4jNetwork:
    def __init__(self, driver: Neo4jDriver) -> None:
        self._driver = driver

    def entities(self, tenant: TenantId) -> Iterator[Sequence[Counted]]:
        after = ""
        while found := self._rows(ENTITIES, tenant=tenant, after=after, limit=BATCH):
            yield [Counted(row["id"], row["mentions"]) for row in found]
            after = found[-1]["id"]

    def leaving(self, tenant: TenantId, entities: Sequence[EntityId]) -> Iterator[Sequence[Link]]:
        for batch in batched(ids_in(entities), BATCH):
            yield self._links(LEAVING, tenant, batch)

    def touching(self, tenant: TenantId, entities: Sequence[EntityId]) -> Iterator[Sequence[Link]]:
        yield from self.leaving(tenant, entities)
        own = frozenset(entities)  # what leaves one of these was given already
        for batch in batched(ids_in(entities), BATCH):
            yield [link for link in self._links(ARRIVING, tenant, batch) if link.source not in own]

    def among(self, tenant: TenantId, entities: Sequence[EntityId]) -> list[Link]:
        return self._links(AMONG, tenant, ids_in(entities))

    def show(self, tenant: TenantId, changed: Sequence[Shown], gone: Sequence[CommunityId]) -> None:
        """Parents before their children. Can be cut off anywhere and run again."""
        for batch in batched(gone):
            self._empty(tenant, batch)
            self._write(DROP, tenant=tenant, ids=batch)
        for batch in batched(changed):
            values = [
                {"id": c.id, "parent_id": c.parent_id, "level": c.level, "title": c.title, "summary": c.summary, "size": c.size}
                for c, _ in batch
            ]
            self._write(PUT, tenant=tenant, rows=values)
            self._write(PUT_PARENTS, tenant=tenant, rows=values)
            self._empty(tenant, [each.community.id for each in batch])
        members = ((entity, each.community.id) for each in changed for entity in each.members)
        for some in batched(members, MEMBERS_A_WRITE):
            self._write(PUT_MEMBERS, tenant=tenant, members=[list(member) for member in some])

    def hide_all(self, tenant: TenantId) -> None:
        while found := [row["id"] for row in self._rows(ALL, tenant=tenant, limit=BATCH)]:
            self._empty(tenant, found)
            self._write(DROP, tenant=tenant, ids=found)

    def _empty(self, tenant: TenantId, ids: Sequence[CommunityId]) -> None:
        def drop() -> int:
            return self._driver.write(
                lambda tx: int(tx.run(DROP_MEMBERS, tenant=tenant, ids=list(ids), limit=MEMBERS_A_WRITE).single(strict=True)["deleted"])
            )

        while drop():
            pass

    def _links(self, statement: str, tenant: TenantId, ids: Sequence[EntityId]) -> list[Link]:
        return [Link(row["source"], row["target"], row["weight"]) for row in self._rows(statement, tenant=tenant, ids=list(ids))]

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        return self._driver.read(lambda tx: rows(tx, statement, **values), timeout_s=READ_S)

    def _write(self, statement: str, **values: Any) -> None:
        self._driver.write(lambda tx: tx.run(statement, values).consume())
