"""The port of the graph: entities, the chunks that mention them, and relations between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from localmind.graph.merging import Names
from localmind.model import ChunkId, ChunkKey, Entity, EntityId, Extraction, Filter, ListPage, Relation, ScoredChunk, SourceId, TenantId


class ChunkExtraction(NamedTuple):
    """What one chunk of a source says. text: where abbreviations that it defines are looked for; no graph keeps it."""

    source_id: SourceId
    chunk_id: ChunkId
    extraction: Extraction
    text: str = ""


class Alike(NamedTuple):
    """An entity of a block: its name may be another spelling of what else is in the block."""

    block: str
    entity: Entity


class Statement(NamedTuple):
    """What one chunk says of an entity."""

    chunk: ChunkKey
    text: str


class Neighbor(NamedTuple):
    entity: Entity
    relation: Relation


class Subgraph(NamedTuple):
    """Entities and the relations among them."""

    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]


class Edge(NamedTuple):
    """A chunk mentions an entity. weight: as ExtractedEntity's."""

    chunk_id: ChunkId
    entity_id: EntityId
    weight: float


class Known(NamedTuple):
    """Of an entity what a search needs. mentions: how many chunks mention it."""

    name: str
    mentions: int


class Mentioned(NamedTuple):
    """What some chunks mention. most: how many chunks mention the tenant's most frequent entity, 0 where there is none."""

    entities: Mapping[EntityId, Known]
    edges: Sequence[Edge]
    most: int


class Graph(Protocol):
    """Entities are merged over chunks and sources by `entity_key(name)` (graph/naming.py), and by what a write is told that names
    mean (graph/aliases.py); an entity goes with its last mention.

    An index: the catalog can rebuild it. Every call may raise StoreUnavailable.
    in_catalog: writes and deletes join the catalog's transaction, which has the chunks already, and still. Elsewhere they come
    before the rows, and after them, each durable on return.
    """

    in_catalog: ClassVar[bool]

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, tenant: TenantId, said: Sequence[ChunkExtraction], names: Names | None = None) -> None:
        """Replace what these chunks, of any sources, say. names: what spellings mean that were merged into others."""

    def arrange(self, tenant: TenantId, orders: Mapping[SourceId, Sequence[ChunkId]]) -> None:
        """Each source's chunks in reading order, before they appear; nothing to do where the catalog has the order."""

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        """Take back what these chunks said. Unknown ids are ignored."""

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        """Take back what all chunks of these sources said."""

    def entities(self, tenant: TenantId, *, query: str = "", limit: int = 50, cursor: str | None = None) -> ListPage[Entity]:
        """Entities whose name contains the query (case and accents ignored), or a name that was merged into theirs does; most mentioned
        first. Raises BadCursor.
        """

    def get(self, tenant: TenantId, ids: Sequence[EntityId]) -> list[Entity]:
        """Those that are there, in the order asked."""

    def link(self, tenant: TenantId, names: Sequence[str]) -> Mapping[str, Entity]:
        """The entity of each name that is known, by entity_key, or by what that was merged into: how a query's words find the graph.

        A round trip to the aliases, and one to the entities.
        """

    def alike(self, tenant: TenantId, blocks: Sequence[str], *, limit: int) -> list[Alike]:
        """Entities of these blocks (graph/likeness.py), at most `limit` of each, the most mentioned first; one look-up."""

    def statements(self, tenant: TenantId, entity: EntityId, *, limit: int) -> list[Statement]:
        """What chunks say of the entity, longest first, equally long ones by chunk."""

    def neighbors(self, tenant: TenantId, ids: Sequence[EntityId], *, limit: int) -> list[Neighbor]:
        """At most `limit` neighbours of the entities taken together, heaviest relation first; relations within ids left out."""

    def chunks(self, tenant: TenantId, weights: Mapping[EntityId, float], *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """Chunks by the sum over their entities of weight x mention weight, damped for entities that are everywhere; best first."""

    def mentioned_in(self, tenant: TenantId, ids: Sequence[ChunkId]) -> Mentioned:
        """What these chunks mention, in no order. At most two statements."""

    def mentioning(self, tenant: TenantId, ids: Sequence[EntityId], *, each: int, where: Filter | None = None) -> list[Edge]:
        """For each of the entities the `each` chunks that mention it most strongly, ties by any rule that is always the same.

        Bounded, however often an entity is mentioned: of one that is everywhere a filter may find fewer. One or two round trips.
        """

    def mentions(self, tenant: TenantId, entity: EntityId, *, limit: int) -> list[ChunkId]:
        """Chunks that name the entity, strongest first."""

    def path(self, tenant: TenantId, start: EntityId, end: EntityId, *, max_hops: int = 4) -> Subgraph | None:
        """A shortest path, entities in its order; None when there is none within max_hops."""

    def subgraph(self, tenant: TenantId, *, center: EntityId | None = None, limit: int = 100) -> Subgraph:
        """The most mentioned entities (around the centre, if one is given) and the relations among them."""

    def count_entities(self, tenant: TenantId) -> int: ...

    def entities_of(self, tenant: TenantId, sources: Sequence[SourceId]) -> Mapping[SourceId, int]:
        """How many entities each source names; those that name none may lack."""

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        """Every chunk that mentions anything, in batches: for reconcile."""

    def said(self, tenant: TenantId, ids: Sequence[ChunkId]) -> list[ChunkExtraction]:
        """What those of the chunks that mention anything say, so that another engine can be given the same; by id, names in order."""

    def tenants(self) -> list[TenantId]:
        """Tenants that have entities: for reconcile."""

    def damaged(self, tenant: TenantId) -> Iterator[Sequence[ChunkKey]]:
        """Chunks that lost some of what they said, as by a hand in the engine; writing them again mends that. For reconcile."""

    def miscounted(self, tenant: TenantId) -> list[EntityId]:
        """Entities that are mentioned more or less often than they say; those without a mention among them. For reconcile."""

    def recount(self, tenant: TenantId, ids: Sequence[EntityId]) -> None:
        """Count their mentions anew; one without any goes."""

    def clear(self, tenant: TenantId) -> None: ...


@runtime_checkable
class SpeaksCypher(Protocol):
    """A graph that also takes queries which somebody wrote."""

    def cypher(self, tenant: TenantId, query: str, parameters: Mapping[str, Any]) -> tuple[list[str], list[list[Any]], bool]:
        """Columns, rows, whether there were more. Raises InvalidInput where the query is wrong, writes, or takes too long."""
