"""The graph in the catalog's tables: it commits with the chunks that it speaks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

from localmind.catalog import cursors
from localmind.catalog.database import Database
from localmind.graph import statements as sql
from localmind.graph.linking import Meanings, as_written, linked
from localmind.graph.merging import Names, key_of
from localmind.graph.paths import shortest_path
from localmind.graph.port import Alike, ChunkExtraction, Edge, Known, Mentioned, Neighbor, Statement, Subgraph
from localmind.graph.rings import around
from localmind.graph.scoring import damped, plan, strongest
from localmind.graph.sql_writing import replace, take_back
from localmind.ids import is_id
from localmind.model import (
    ChunkId,
    ChunkKey,
    Entity,
    EntityId,
    ExtractedEntity,
    ExtractedRelation,
    Extraction,
    Filter,
    ListPage,
    Relation,
    ScoredChunk,
    SourceId,
    TenantId,
)
from localmind.ranking import ranked

BATCH = 2_000
"""Chunks of one deletion, entities of one lookup: bounds the parameters' size."""

ROWS_READ = 5_000
"""Mentions that one scoring reads of whole entities. About 2 ms."""

CANDIDATES = 500
"""Chunks that are looked up one by one for entities too frequent to be read. About 0.4 ms for each of these."""

MENTIONS_SIFTED = 200
"""Mentions of one entity that are looked at for those of some sources."""

CHUNKS_READ = 1_000
"""A filter that leaves at most so many chunks is answered from their side. About 10 ms."""

EDGES_READ = 200_000
"""Edges that one search for a path reads before it gives up. About 0.3 s."""

ENTITIES_AT_ONCE = 32
"""Entities whose relations one statement reads; SQLite takes 500 terms in a UNION."""

K = TypeVar("K")
Id = TypeVar("Id", bound=str)


class SqlGraph:
    """Speaks to the tables entity, mention, relation and evidence.

    mentions counts the chunks that name an entity, whichever version of their source is visible. An entity's name is the
    first batch's most frequent spelling and stays; its description is the longest among the chunks that are there.
    """

    in_catalog: ClassVar[bool] = True

    def __init__(self, database: Database, meanings: Meanings = as_written) -> None:
        self._db, self._meanings = database, meanings

    def open(self) -> None:
        """The catalog opens the database."""

    def close(self) -> None:
        """The catalog closes it."""

    # --- writing

    def write(self, tenant: TenantId, said: Sequence[ChunkExtraction], names: Names | None = None) -> None:
        """Chunks that the catalog does not have are passed over."""
        if not said:
            return
        with self._db.write(tenant) as connection:
            replace(connection, tenant, said, names)

    def arrange(self, tenant: TenantId, orders: Mapping[SourceId, Sequence[ChunkId]]) -> None:
        """The catalog's rows have the order."""

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        for batch in _batches(ids):
            with self._db.write(tenant) as connection:
                rows = sql.rows(connection, sql.CHUNK_PKS, tenant=tenant, ids=batch)
                take_back(connection, [row.pk for row in rows])

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        for source in _ids(sources):
            for batch in list(self.keys(tenant, source=source)):
                self.delete(tenant, [key.chunk_id for key in batch])

    def clear(self, tenant: TenantId) -> None:
        with self._db.write(tenant) as connection:
            for statement in sql.CLEAR:
                sql.run(connection, statement, tenant=tenant)

    # --- entities

    def entities(self, tenant: TenantId, *, query: str = "", limit: int = 50, cursor: str | None = None) -> ListPage[Entity]:
        """Equally often mentioned ones by key. A query is looked for along all entities: about 0.1 s at a million."""
        key = key_of(query)
        if query.strip() and not key:
            return ListPage(())
        mentions, after = cursors.decode(cursor, int, str) if cursor else (2**31 - 1, "")
        matching = {"pattern": f"%{key}%"} if key else {}  # a key has neither % nor _
        statement = sql.FIND_ENTITIES if key else sql.LIST_ENTITIES
        rows = self._read(statement, tenant=tenant, mentions=mentions, after=after, limit=limit + 1, **matching)
        next_cursor = cursors.encode(rows[limit - 1].mentions, rows[limit - 1].key) if len(rows) > limit else None
        return ListPage(tuple(_entity(row) for row in rows[:limit]), next_cursor)

    def get(self, tenant: TenantId, ids: Sequence[EntityId]) -> list[Entity]:
        found: dict[EntityId, Entity] = {}
        for batch in _batches(ids):
            found.update((EntityId(row.id), _entity(row)) for row in self._read(sql.ENTITIES_BY_ID, tenant=tenant, ids=batch))
        return [found[id_] for id_ in ids if id_ in found]

    def link(self, tenant: TenantId, names: Sequence[str]) -> Mapping[str, Entity]:
        return linked(self, tenant, names, self._meanings)

    def alike(self, tenant: TenantId, blocks: Sequence[str], *, limit: int) -> list[Alike]:
        asked = [block for block in dict.fromkeys(blocks) if block]
        rows = self._read(sql.ALIKE, tenant=tenant, blocks=asked, limit=limit) if asked else ()
        return [Alike(row.block, _entity(row)) for row in rows]

    def statements(self, tenant: TenantId, entity: EntityId, *, limit: int) -> list[Statement]:
        rows = self._read(sql.STATEMENTS, tenant=tenant, entity=entity, limit=limit)
        return [Statement(ChunkKey(ChunkId(row.id), SourceId(row.source_id)), row.description) for row in rows]

    def count_entities(self, tenant: TenantId) -> int:
        return int(self._read(sql.COUNT_ENTITIES, tenant=tenant)[0][0])

    def entities_of(self, tenant: TenantId, sources: Sequence[SourceId]) -> Mapping[SourceId, int]:
        rows = self._read(sql.COUNT_ENTITIES_OF_SOURCES, tenant=tenant, sources=_ids(sources))
        return {SourceId(row.source_id): int(row.entities) for row in rows}

    def damaged(self, tenant: TenantId) -> Iterator[Sequence[ChunkKey]]:
        yield from self._pages(sql.DAMAGED, tenant)

    def miscounted(self, tenant: TenantId) -> list[EntityId]:
        return [EntityId(row.id) for row in self._read(sql.MISCOUNTED, tenant=tenant)]

    def recount(self, tenant: TenantId, ids: Sequence[EntityId]) -> None:
        for batch in _batches(ids):
            with self._db.write(tenant) as connection:
                for statement in sql.RECOUNT:
                    sql.run(connection, statement, tenant=tenant, ids=batch)

    # --- chunks

    def chunks(self, tenant: TenantId, weights: Mapping[EntityId, float], *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """Reads the rarest entities whole, as long as ROWS_READ lasts; more frequent ones only add to chunks found so.

        A mention of weight m counts m / (m + 1), times the entity's damped weight (scoring.py).
        """
        asked = _ids(weights)
        if not asked or (where is not None and not where.source_ids):
            return []
        rows = sorted(self._read(sql.WEIGHED_ENTITIES, tenant=tenant, ids=asked), key=lambda row: (row.mentions, row.id))
        if not rows:
            return []
        counted = {row.pk: damped(weights[row.id], mentions=row.mentions, top=row.top) for row in rows}
        read, looked_up = plan([(row.pk, row.mentions) for row in rows], rows=ROWS_READ)
        by_hub = not read
        if by_hub:
            read, looked_up = looked_up[:1], looked_up[1:]
        statement = sql.CHUNKS_OF_HUB if by_hub else sql.CHUNKS_OF_ENTITIES
        sources: list[SourceId] = []
        if where is not None:
            sources = _ids(where.source_ids)
            statement = sql.CHUNKS_OF_HUB_IN_SOURCES if by_hub else sql.CHUNKS_OF_ENTITIES_IN_SOURCES
            most = CHUNKS_READ + 1
            if self._read(sql.COUNT_CHUNKS_OF_SOURCES, tenant=tenant, sources=sources, most=most)[0][0] < most:
                statement, read, looked_up = sql.CHUNKS_IN_SOURCES, list(counted), []
        found = self._read(
            statement,
            tenant=tenant,
            read={pk: counted[pk] for pk in read},
            looked_up={pk: counted[pk] for pk in looked_up},
            sources=sources,
            rows=ROWS_READ,
            candidates=CANDIDATES if looked_up else limit,
            limit=limit,
        )
        return ranked(ScoredChunk(ChunkId(row.id), row.score) for row in found)

    def mentioned_in(self, tenant: TenantId, ids: Sequence[ChunkId]) -> Mentioned:
        with self._db.read(tenant) as connection:
            rows = sql.rows(connection, sql.MENTIONED_IN, tenant=tenant, ids=_ids(ids))
            most = sql.rows(connection, sql.MOST_MENTIONS, tenant=tenant)[0].most
        # By place, not by name: a search reads hundreds of them.
        entities = {row[1]: Known(row[2], row[3]) for row in rows}
        return Mentioned(entities, [Edge(row[0], row[1], row[4]) for row in rows], most or 0)

    def mentioning(self, tenant: TenantId, ids: Sequence[EntityId], *, each: int, where: Filter | None = None) -> list[Edge]:
        asked = _ids(ids)
        if not asked or (where is not None and not where.source_ids):
            return []
        statement, sources = sql.MENTIONING, []
        if where is not None:
            statement, sources = sql.MENTIONING_OF_SOURCES, _ids(where.source_ids)
            most = CHUNKS_READ + 1
            if self._read(sql.COUNT_CHUNKS_OF_SOURCES, tenant=tenant, sources=sources, most=most)[0][0] < most:
                statement = sql.MENTIONING_IN_SOURCES
        rows = self._read(statement, tenant=tenant, ids=asked, sources=sources, each=each, most=MENTIONS_SIFTED)
        return strongest((Edge(*row) for row in rows), each)

    def mentions(self, tenant: TenantId, entity: EntityId, *, limit: int) -> list[ChunkId]:
        return [ChunkId(row.id) for row in self._read(sql.CHUNKS_OF_ENTITY, tenant=tenant, entity=entity, limit=limit)]

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        of_source = {} if source is None else {"source": source}
        yield from self._pages(sql.CHUNK_KEYS if source is None else sql.CHUNK_KEYS_OF_SOURCE, tenant, **of_source)

    def _pages(self, statement: str, tenant: TenantId, **values: str) -> Iterator[Sequence[ChunkKey]]:
        after = 0
        while rows := self._read(statement, tenant=tenant, after=after, limit=BATCH, **values):
            yield [ChunkKey(ChunkId(row.id), SourceId(row.source_id)) for row in rows]
            after = rows[-1].pk

    def said(self, tenant: TenantId, ids: Sequence[ChunkId]) -> list[ChunkExtraction]:
        found: list[ChunkExtraction] = []
        for batch in _batches(ids):
            entities: dict[tuple[str, str], list[ExtractedEntity]] = defaultdict(list)
            relations: dict[str, list[ExtractedRelation]] = defaultdict(list)
            for row in self._read(sql.SAID_OF_ENTITIES, tenant=tenant, ids=batch):
                entities[row.id, row.source_id].append(ExtractedEntity(row.name, row.type, row.description or "", row.weight))
            for row in self._read(sql.SAID_OF_RELATIONS, tenant=tenant, ids=batch):
                relations[row.id].append(ExtractedRelation(row.source, row.target, row.type, row.description or "", row.weight))
            found += [
                ChunkExtraction(SourceId(source), ChunkId(id_), Extraction(tuple(named), tuple(relations.get(id_, ()))))
                for (id_, source), named in entities.items()
            ]
        return found

    def tenants(self) -> list[TenantId]:
        return [TenantId(row.tenant) for row in self._read(sql.TENANTS, tenant=None)]

    # --- relations

    def neighbors(self, tenant: TenantId, ids: Sequence[EntityId], *, limit: int) -> list[Neighbor]:
        """An entity stands once for each relation to it."""
        asked = _ids(ids)
        found: list[Neighbor] = []
        for at in range(0, len(asked), ENTITIES_AT_ONCE):
            batch = asked[at : at + ENTITIES_AT_ONCE]
            ends = {f"id{n}": id_ for n, id_ in enumerate(batch)}
            rows = self._read(sql.relations_of(len(batch)), tenant=tenant, ids=asked, limit=limit, **ends)
            inside = frozenset(batch)
            found += [Neighbor(_entity(row, "b_" if row.a_id in inside else "a_"), _relation(row)) for row in rows]
        return sorted(found, key=lambda item: -item.relation.weight)[:limit]

    def path(self, tenant: TenantId, start: EntityId, end: EntityId, *, max_hops: int = 4) -> Subgraph | None:
        """Also None where EDGES_READ edges were read without a meeting. Of several relations between two the heaviest is given."""
        with self._db.read(tenant) as connection:
            pks = {row.id: row.pk for row in sql.rows(connection, sql.ENTITIES_BY_ID, tenant=tenant, ids=_ids((start, end)))}
            if start not in pks or end not in pks:
                return None
            left = EDGES_READ

            def adjacent(frontier: Sequence[int]) -> list[tuple[int, int]]:
                nonlocal left
                rows = sql.rows(connection, sql.ADJACENT, pks=list(frontier), most=left)
                left -= len(rows)
                return [(row[0], row[1]) for row in sorted(rows, key=lambda row: -row.weight)]

            nodes = shortest_path(pks[start], pks[end], max_hops=max_hops, adjacent=adjacent)
        if nodes is None:
            return None
        found = self._subgraph(tenant, nodes)
        heaviest = {frozenset((item.source, item.target)): item for item in reversed(found.relations)}
        hops = pairwise(found.entities)
        return Subgraph(found.entities, tuple(heaviest[frozenset((one.id, two.id))] for one, two in hops))

    def subgraph(self, tenant: TenantId, *, center: EntityId | None = None, limit: int = 100) -> Subgraph:
        """Around a centre: the centre, its heaviest neighbours, and theirs as far as there is room. Empty where it is unknown."""
        if center is None:
            return self._subgraph(tenant, [row.pk for row in self._read(sql.MOST_MENTIONED, tenant=tenant, limit=limit)])
        chosen = around(self, tenant, center, limit=limit)
        pks = {row.id: row.pk for row in self._read(sql.ENTITIES_BY_ID, tenant=tenant, ids=chosen)}
        return self._subgraph(tenant, [pks[id_] for id_ in chosen if id_ in pks])

    def _subgraph(self, tenant: TenantId, pks: Sequence[int]) -> Subgraph:
        found = {row.pk: _entity(row) for row in self._read(sql.ENTITIES_BY_PK, tenant=tenant, pks=list(pks))}
        relations = self._read(sql.RELATIONS_AMONG, tenant=tenant, pks=list(found))
        return Subgraph(tuple(found[pk] for pk in pks if pk in found), tuple(map(_relation, relations)))

    # --- statements

    def _read(self, statement: str, *, tenant: TenantId | None, **values: Any) -> Sequence[Any]:
        with self._db.read(tenant) as connection:
            return sql.rows(connection, statement, tenant=tenant, **values)


def _ids(ids: Collection[Id]) -> list[Id]:
    """Each once. What can't be an id is unknown everywhere, and some of it can't stand in JSON for PostgreSQL."""
    return [id_ for id_ in dict.fromkeys(ids) if is_id(id_)]


def _batches(ids: Collection[Id]) -> Iterator[list[Id]]:
    items = _ids(ids)
    for at in range(0, len(items), BATCH):
        yield items[at : at + BATCH]


def _entity(row: Any, prefix: str = "") -> Entity:
    values = row._mapping
    return Entity(*(values[prefix + name] for name in ("id", "name", "type", "description", "mentions")))


def _relation(row: Any) -> Relation:
    return Relation(row.a_id, row.b_id, row.type, row.description, row.weight)
