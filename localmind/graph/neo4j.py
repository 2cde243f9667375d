"""The graph in Neo4j, where people can explore it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from localmind.catalog import cursors
from localmind.graph import cypher
from localmind.graph.linking import Meanings, Named, as_they_are, as_written, linked
from localmind.graph.merging import Names, key_of
from localmind.graph.neo4j_writing import replace, spoken, take_back
from localmind.graph.port import Alike, ChunkExtraction, Edge, Known, Mentioned, Neighbor, Statement, Subgraph
from localmind.graph.rings import around
from localmind.graph.scoring import damped, plan, strongest
from localmind.ids import is_id
from localmind.model import ChunkId, ChunkKey, Entity, EntityId, Filter, ListPage, Relation, ScoredChunk, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from localmind.neo4j.asking import CypherResult, ask
from localmind.neo4j.chunks import batches, ids_in, pages, prune, tenants
from localmind.ranking import ranked

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

CHUNKS_A_WRITE = 500
"""Chunks of one transaction, so that other writers don't wait long for entities that are everywhere."""

ENTITIES_A_CLEAR = 2_000

LINKS_A_WRITE = 5_000

ROWS_READ = 5_000
"""Mentions that one scoring reads of whole entities: about 8 ms. Of one that has more by itself, so many are read."""

CANDIDATES = 500
"""Chunks that are looked up one by one for entities too frequent to be read."""

MENTIONS_READ = 500
"""Mentions of one entity that are looked at for the strongest."""

CHUNKS_READ = 1_000
"""A filter that leaves at most so many chunks is answered from their side."""

EDGES_READ = 20_000
"""Relations of one entity that a look at its neighbours reads."""

MOST_HOPS = 15


class Neo4jGraph:
    """mentions counts the chunks that name an entity, whichever version of their source is visible. An entity's name is the
    first batch's most frequent spelling and stays; its description is the longest among the chunks that are there.
    """

    in_catalog: ClassVar[bool] = False

    def __init__(self, driver: Neo4jDriver, meanings: Meanings = as_written, named: Named = as_they_are) -> None:
        self._driver, self._meanings, self._named = driver, meanings, named

    def open(self) -> None:
        self._driver.open()

    def close(self) -> None:
        self._driver.close()

    # --- writing

    def write(self, tenant: TenantId, said: Sequence[ChunkExtraction], names: Names | None = None) -> None:
        last = list({each.chunk_id: each for each in said}.values())
        for at in range(0, len(last), CHUNKS_A_WRITE):
            batch = last[at : at + CHUNKS_A_WRITE]
            self._driver.write(lambda tx: replace(tx, tenant, batch, names))  # noqa: B023 - runs before the next round

    def arrange(self, tenant: TenantId, orders: Mapping[SourceId, Sequence[ChunkId]]) -> None:
        """Draws NEXT anew. A kill in between leaves a chain with a gap, which the next arrangement closes."""
        while self._changed(cypher.UNLINK, tenant=tenant, sources=list(orders), limit=LINKS_A_WRITE):
            pass
        asked = [id_ for ids in orders.values() for id_ in ids]
        there = {row["id"] for batch in batches(asked) for row in self._driver.rows(cypher.CHUNKS_THERE, tenant=tenant, ids=batch)}
        places: list[dict[str, object]] = []
        for ids in orders.values():
            order = [id_ for id_ in ids if id_ in there]
            places += (
                {"id": id_, "ordinal": n, "next": after} for n, (id_, after) in enumerate(zip(order, [*order[1:], None], strict=True))
            )
        for at in range(0, len(places), LINKS_A_WRITE):
            self._run(cypher.LINK, tenant=tenant, places=places[at : at + LINKS_A_WRITE])

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        for batch in batches(ids):

            def forget(tx: ManagedTransaction) -> None:
                take_back(tx, tenant, batch)  # noqa: B023 - runs before the next round
                prune(tx, tenant, batch)  # noqa: B023

            self._driver.write(forget)

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        for source in ids_in(sources):
            for keys in list(self.keys(tenant, source=source)):
                self.delete(tenant, [key.chunk_id for key in keys])

    def clear(self, tenant: TenantId) -> None:
        """Mentions by their chunks and relations by thousands before the entities: what one of these takes along fits in no memory."""
        for keys in pages(self._driver, cypher.ALL_CHUNK_KEYS, tenant, None):
            ids = [key.chunk_id for key in keys]

            def forget(tx: ManagedTransaction) -> None:
                tx.run(cypher.FORGET, tenant=tenant, ids=ids).consume()  # noqa: B023 - runs before the next round
                prune(tx, tenant, ids)  # noqa: B023

            self._driver.write(forget)
        while ids_of := [row["id"] for row in self._driver.rows(cypher.ENTITY_PAGE, tenant=tenant, limit=ENTITIES_A_CLEAR)]:
            while self._changed(cypher.CLEAR_RELATIONS, tenant=tenant, ids=ids_of, limit=LINKS_A_WRITE):
                pass
            self._run(cypher.CLEAR_ENTITIES, tenant=tenant, ids=ids_of)
        while self._changed(cypher.CLEAR_COMMUNITIES, tenant=tenant, limit=ENTITIES_A_CLEAR):
            pass

    def _run(self, statement: str, **values: Any) -> None:
        self._driver.write(lambda tx: tx.run(statement, values).consume())

    def _changed(self, statement: str, **values: Any) -> int:
        return self._driver.write(lambda tx: int(tx.run(statement, values).single(strict=True)["deleted"]))

    # --- entities

    def entities(self, tenant: TenantId, *, query: str = "", limit: int = 50, cursor: str | None = None) -> ListPage[Entity]:
        """Equally often mentioned ones by key. A query is looked for along the tenant's entities, the most mentioned first; what was
        merged into them stands in the catalog, which is asked before.
        """
        key = key_of(query)
        if query.strip() and not key:
            return ListPage(())
        mentions, after = cursors.decode(cursor, int, str) if cursor else (2**31 - 1, "")
        named = list(self._named(tenant, key)) if key else []
        page = {"mentions": mentions, "after": after, "limit": limit + 1}
        rows = self._driver.rows(cypher.LIST_ENTITIES, tenant=tenant, key=key, named=named, **page)
        shown = [row for row in rows[:limit] if _is_there(row["found"])]
        next_cursor = cursors.encode(shown[-1]["found"]["mentions"], shown[-1]["key"]) if shown and len(rows) > limit else None
        return ListPage(tuple(_entity(row["found"]) for row in shown), next_cursor)

    def get(self, tenant: TenantId, ids: Sequence[EntityId]) -> list[Entity]:
        found: dict[EntityId, Entity] = {}
        for batch in batches(ids):
            rows = self._driver.rows(cypher.ENTITIES_BY_ID, tenant=tenant, ids=batch)
            found.update((EntityId(row["e"]["id"]), _entity(row["e"])) for row in rows if _is_there(row["e"]))
        return [found[id_] for id_ in ids if id_ in found]

    def link(self, tenant: TenantId, names: Sequence[str]) -> Mapping[str, Entity]:
        return linked(self, tenant, names, self._meanings)

    def alike(self, tenant: TenantId, blocks: Sequence[str], *, limit: int) -> list[Alike]:
        asked = sorted({block for block in blocks if block})
        rows = self._driver.rows(cypher.ALIKE, tenant=tenant, blocks=asked, limit=limit) if asked else ()
        return [Alike(row["block"], _entity(row["e"])) for row in rows if _is_there(row["e"])]

    def statements(self, tenant: TenantId, entity: EntityId, *, limit: int) -> list[Statement]:
        rows = self._driver.rows(cypher.STATEMENTS, tenant=tenant, entity=entity, limit=limit)
        return [Statement(ChunkKey(ChunkId(row["id"]), SourceId(row["source"])), row["description"]) for row in rows]

    def count_entities(self, tenant: TenantId) -> int:
        return int(self._driver.rows(cypher.COUNT_ENTITIES, tenant=tenant)[0]["count"])

    def entities_of(self, tenant: TenantId, sources: Sequence[SourceId]) -> Mapping[SourceId, int]:
        rows = self._driver.rows(cypher.COUNT_ENTITIES_OF_SOURCES, tenant=tenant, sources=ids_in(sources))
        return {SourceId(row["source"]): int(row["count"]) for row in rows}

    def damaged(self, tenant: TenantId) -> Iterator[Sequence[ChunkKey]]:
        return pages(self._driver, cypher.DAMAGED, tenant, None)

    def miscounted(self, tenant: TenantId) -> list[EntityId]:
        return [EntityId(row["id"]) for row in self._driver.rows(cypher.MISCOUNTED, tenant=tenant)]

    def recount(self, tenant: TenantId, ids: Sequence[EntityId]) -> None:
        for batch in batches(ids):
            self._run(cypher.RECOUNT, tenant=tenant, ids=batch)

    # --- chunks

    def chunks(self, tenant: TenantId, weights: Mapping[EntityId, float], *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """Scored as SqlGraph scores. Reads the rarest entities whole, as long as ROWS_READ lasts; more frequent ones only add to
        chunks found so. Where there is none but frequent ones, the newest mentions of the rarest are read.
        """
        asked = ids_in(list(weights))
        if limit < 1 or not asked or (where is not None and not where.source_ids):
            return []
        known = self._driver.rows(cypher.WEIGHED_ENTITIES, tenant=tenant, ids=asked)
        if not known:
            return []
        counted = {
            row["id"]: {"id": row["id"], "weight": damped(weights[row["id"]], mentions=row["mentions"], top=row["top"])} for row in known
        }
        read, looked_up = plan([(row["id"], row["mentions"]) for row in known], rows=ROWS_READ)
        by_hub = not read
        if by_hub:
            read, looked_up = looked_up[:1], looked_up[1:]
        statement = cypher.CHUNKS_OF_HUB if by_hub else cypher.CHUNKS_OF_ENTITIES
        sources: list[SourceId] = []
        if where is not None:
            sources = ids_in(list(where.source_ids))
            statement = cypher.CHUNKS_OF_HUB_IN_SOURCES if by_hub else cypher.CHUNKS_OF_ENTITIES_IN_SOURCES
            if self._driver.rows(cypher.COUNT_CHUNKS_OF_SOURCES, tenant=tenant, sources=sources)[0]["count"] <= CHUNKS_READ:
                statement, read, looked_up = cypher.CHUNKS_IN_SOURCES, list(counted), []
        rows = self._driver.rows(
            statement,
            tenant=tenant,
            read=[counted[id_] for id_ in read],
            hubs=looked_up,
            looked_up={id_: counted[id_]["weight"] for id_ in looked_up},
            sources=sources,
            rows=ROWS_READ,
            candidates=CANDIDATES if looked_up else limit,
            limit=limit,
        )
        return ranked(ScoredChunk(ChunkId(row["id"]), row["score"]) for row in rows)

    def mentioned_in(self, tenant: TenantId, ids: Sequence[ChunkId]) -> Mentioned:
        found: dict[ChunkId, Any] = dict(self._driver.rows(cypher.MENTIONED_IN, tenant=tenant, ids=ids_in(ids)))
        most = found.pop(ChunkId(cypher.MOST), 0)
        said = [(chunk, *each) for chunk, some in found.items() for each in some if None not in each]  # as _is_there
        entities = {id_: Known(name, mentions) for _, id_, name, mentions, _ in said}
        return Mentioned(entities, [Edge(chunk, id_, weight) for chunk, id_, _, _, weight in said], most)

    def mentioning(self, tenant: TenantId, ids: Sequence[EntityId], *, each: int, where: Filter | None = None) -> list[Edge]:
        """Of an entity with more than MENTIONS_READ mentions the newest are looked at."""
        asked = ids_in(ids)
        if not asked or (where is not None and not where.source_ids):
            return []
        statement, sources = cypher.MENTIONING, []
        if where is not None:
            statement, sources = cypher.MENTIONING_OF_SOURCES, ids_in(list(where.source_ids))
            if self._driver.rows(cypher.COUNT_CHUNKS_OF_SOURCES, tenant=tenant, sources=sources)[0]["count"] <= CHUNKS_READ:
                statement = cypher.MENTIONING_IN_SOURCES
        rows = self._driver.rows(statement, tenant=tenant, ids=asked, sources=sources, each=each, most=MENTIONS_READ)
        found = (Edge(ChunkId(chunk), EntityId(id_), weight) for id_, said in rows for chunk, weight in said if None not in (chunk, weight))
        return strongest(found, each)

    def mentions(self, tenant: TenantId, entity: EntityId, *, limit: int) -> list[ChunkId]:
        return [ChunkId(row["id"]) for row in self._driver.rows(cypher.CHUNKS_OF_ENTITY, tenant=tenant, entity=entity, limit=limit)]

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        return pages(self._driver, cypher.CHUNK_KEYS if source is None else cypher.CHUNK_KEYS_OF_SOURCE, tenant, source)

    def said(self, tenant: TenantId, ids: Sequence[ChunkId]) -> list[ChunkExtraction]:
        rows = [row for batch in batches(ids) for row in self._driver.rows(cypher.SAID, tenant=tenant, ids=batch)]
        return [ChunkExtraction(SourceId(row["source"]), ChunkId(row["id"]), spoken(row["said"], row["entities"])) for row in rows]

    def tenants(self) -> list[TenantId]:
        return tenants(self._driver, cypher.NEXT_TENANT)

    # --- relations

    def neighbors(self, tenant: TenantId, ids: Sequence[EntityId], *, limit: int) -> list[Neighbor]:
        """An entity stands once for each relation to it. Of one with more than EDGES_READ relations the newest are looked at."""
        asked = ids_in(ids)
        if not asked:
            return []
        rows = self._driver.rows(cypher.NEIGHBORS, tenant=tenant, ids=asked, edges=EDGES_READ, limit=limit)
        return [Neighbor(_entity(row["e"]), _relation(row["r"])) for row in rows if _is_there(row["e"])]

    def path(self, tenant: TenantId, start: EntityId, end: EntityId, *, max_hops: int = 4) -> Subgraph | None:
        """Of several relations between two the heaviest is given."""
        if not is_id(start) or not is_id(end):
            return None
        if start == end:
            alone = self.get(tenant, [start])
            return Subgraph(tuple(alone), ()) if alone else None
        rows = self._driver.rows(cypher.shortest_path(min(max_hops, MOST_HOPS)), tenant=tenant, start=start, end=end)
        if not rows:
            return None
        found = self._subgraph(tenant, rows[0]["ids"])
        heaviest = {frozenset((item.source, item.target)): item for item in reversed(found.relations)}
        hops = pairwise(found.entities)
        return Subgraph(found.entities, tuple(heaviest[frozenset((one.id, two.id))] for one, two in hops))

    def subgraph(self, tenant: TenantId, *, center: EntityId | None = None, limit: int = 100) -> Subgraph:
        """Around a centre: the centre, its heaviest neighbours, and theirs as far as there is room. Empty where it is unknown."""
        if center is not None:
            return self._subgraph(tenant, around(self, tenant, center, limit=limit))
        rows = self._driver.rows(cypher.MOST_MENTIONED, tenant=tenant, limit=limit)
        return self._subgraph(tenant, [EntityId(row["id"]) for row in rows])

    def _subgraph(self, tenant: TenantId, ids: Sequence[EntityId]) -> Subgraph:
        entities = self.get(tenant, ids)
        rows = self._driver.rows(cypher.RELATIONS_AMONG, tenant=tenant, ids=[item.id for item in entities])
        return Subgraph(tuple(entities), tuple(_relation(row["r"]) for row in rows))

    # --- what others ask

    def cypher(self, tenant: TenantId, query: str, parameters: Mapping[str, Any]) -> CypherResult:
        """A query that somebody wrote, reading only; see localmind/neo4j/asking.py."""
        return ask(self._driver, tenant, query, parameters)


def _is_there(values: Mapping[str, Any]) -> bool:
    """What another transaction deleted after a statement had found it has no properties any more."""
    return None not in (values["id"], values["name"], values["mentions"])


def _entity(values: Mapping[str, Any]) -> Entity:
    return Entity(*(values[name] for name in ("id", "name", "type", "description", "mentions")))


def _relation(values: Mapping[str, Any]) -> Relation:
    return Relation(*(values[name] for name in ("source", "target", "type", "description", "weight")))
