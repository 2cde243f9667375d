"""Entities and relations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from apps.backend.access import Admin, Editor, Reader
from apps.backend.dependencies import CommunityIdPath, Cursor, EntityIdPath, Limit, Mind, community_query, entity_query
from apps.backend.schemas.common import Clean, Page, listed, problems
from apps.backend.schemas.graph import (
    AliasOut,
    CommunityOut,
    CypherIn,
    CypherOut,
    EntitiesOut,
    EntityDetail,
    EntityOut,
    MentionOut,
    Mentions,
    MergeIn,
    NeighborOut,
    Neighbors,
    SourceOut,
    SplitIn,
    StatementOut,
    SubgraphOut,
)
from localmind.errors import NotFound
from localmind.graph.port import SpeaksCypher
from localmind.model import Entity, EntityId, TenantId

router = APIRouter(prefix="/api/v1/graph", tags=["graph"])

cypher = APIRouter(prefix="/api/v1/graph", tags=["graph"])
"""Put up only where CYPHER_QUERIES is true, NEO4J_URI is set and nobody logs in: one tenant is all that it can serve, as
localmind/neo4j/asking.py says."""

MISSING = problems(_404="No such entity.")


@router.get("/entities", responses=listed())
def list_entities(
    mind: Mind,
    tenant: Reader,
    q: Annotated[Clean, Query(max_length=200, description="Part of a name, aliases too; case and accents are ignored.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[EntityOut]:
    """Entities, most mentioned first."""
    found = mind.graph.entities(tenant, query=q, limit=limit, cursor=cursor)
    return Page(items=[EntityOut.model_validate(one) for one in found.items], next_cursor=found.next_cursor)


@router.get("/entities/{entity_id}", responses=MISSING)
def get_entity(mind: Mind, tenant: Reader, entity_id: EntityIdPath) -> EntityDetail:
    """One entity, with its other names and what documents say of it."""
    return _detail(mind, tenant, _entity(mind, tenant, entity_id))


@router.post("/entities/merge", responses=problems(_400="Not entities that can be merged.", _404="No such entity."))
def merge_entities(mind: Mind, tenant: Editor, asked: MergeIn) -> EntitiesOut:
    """Make several entities one, now and for documents to come; a split undoes it."""
    into = None if asked.into is None else EntityId(asked.into)
    done = mind.resolution.merge(tenant, [EntityId(one) for one in asked.ids], into=into)
    return EntitiesOut(items=[_detail(mind, tenant, one) for one in done.entities], pending=done.left)


@router.post("/entities/split", responses=problems(_400="Not names of the entity that can leave it.", _404="No such entity."))
def split_entity(mind: Mind, tenant: Editor, asked: SplitIn) -> EntitiesOut:
    """Make names of an entity entities of their own again, as they were before; they are never merged by themselves again."""
    done = mind.resolution.split(tenant, EntityId(asked.id), asked.names)
    return EntitiesOut(items=[_detail(mind, tenant, one) for one in done.entities], pending=done.left)


@router.get("/entities/{entity_id}/neighbors", responses=MISSING)
def get_neighbors(mind: Mind, tenant: Reader, entity_id: EntityIdPath, limit: Limit = 50) -> Neighbors:
    """What it is related to, heaviest relation first."""
    _entity(mind, tenant, entity_id)
    found = mind.graph.neighbors(tenant, [entity_id], limit=limit)
    return Neighbors(items=[NeighborOut.model_validate(one) for one in found])


@router.get("/entities/{entity_id}/mentions", responses=MISSING)
def get_mentions(mind: Mind, tenant: Reader, entity_id: EntityIdPath, limit: Limit = 50) -> Mentions:
    """Its evidence: where in which sources it is named, strongest first."""
    found = mind.mentions.of(tenant, _entity(mind, tenant, entity_id), limit=limit)
    return Mentions(items=[MentionOut.model_validate(one) for one in found])


@router.get("/path", responses=problems(_404="No such entity, or no path."))
def get_path(
    mind: Mind,
    tenant: Reader,
    source: Annotated[str, Query(description="Id of the entity at one end.")],
    target: Annotated[str, Query(description="Id of the entity at the other.")],
    max_hops: Annotated[int, Query(ge=1, le=6)] = 4,
) -> SubgraphOut:
    """A shortest path between two entities, its entities in order."""
    start, end = entity_query(source), entity_query(target)
    for one in (start, end):
        _entity(mind, tenant, one)
    found = mind.graph.path(tenant, start, end, max_hops=max_hops)
    if found is None:
        raise NotFound(f"There is no path of {max_hops} relations or fewer between the two.", hint="Allow more with max_hops.")
    return SubgraphOut.model_validate(found)


@router.get("/subgraph", responses=problems(_404="No such entity."))
def get_subgraph(
    mind: Mind,
    tenant: Reader,
    center: Annotated[str | None, Query(description="Id of the entity in the middle; without it, the most mentioned ones.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Most entities.")] = 100,
) -> SubgraphOut:
    """Entities and the relations among them."""
    middle = None if center is None else _entity(mind, tenant, entity_query(center)).id
    return SubgraphOut.model_validate(mind.graph.subgraph(tenant, center=middle, limit=limit))


@router.get("/communities", responses=listed(_404="No such community."))
def list_communities(
    mind: Mind,
    tenant: Reader,
    level: Annotated[int | None, Query(ge=0, le=9, description="Only of this level; 0 is the coarsest.")] = None,
    parent: Annotated[str | None, Query(description="Only those that lie in this one.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[CommunityOut]:
    """Themes that were found in the graph, those mentioned most first."""
    within = None if parent is None else community_query(parent)
    found = mind.catalog.communities.page(tenant, level=level, parent=within, limit=limit, cursor=cursor)
    return Page(items=[CommunityOut.model_validate(one) for one in found.items], next_cursor=found.next_cursor)


@router.get("/communities/{community_id}", responses=problems(_404="No such community."))
def get_community(mind: Mind, tenant: Reader, community_id: CommunityIdPath) -> CommunityOut:
    """One theme."""
    return CommunityOut.model_validate(mind.catalog.communities.get(tenant, community_id))


@cypher.post("/cypher", responses=problems(_400="A query that is wrong, would change something, or takes too long."))
def run_cypher(mind: Mind, tenant: Admin, asked: CypherIn) -> CypherOut:
    """The rows of a Cypher query that only reads, 1,000 at most. `$tenant` is bound."""
    graph = mind.graph
    if not isinstance(graph, SpeaksCypher):
        raise NotFound("The graph of this service does not speak Cypher.", hint="Set NEO4J_URI.")
    columns, rows, truncated = graph.cypher(tenant, asked.query, asked.parameters)
    return CypherOut(columns=columns, rows=rows, truncated=truncated)


def _detail(mind: Mind, tenant: TenantId, entity: Entity) -> EntityDetail:
    statements = mind.resolution.described(tenant, entity)
    return EntityDetail(
        id=entity.id,
        name=entity.name,
        type=entity.type,
        description=" ".join(statement.text for statement in statements) or entity.description,
        mentions=entity.mentions,
        aliases=[AliasOut.model_validate(alias) for alias in mind.resolution.aliases(tenant, entity)],
        statements=[
            StatementOut(
                text=statement.text,
                sources=[SourceOut(source_id=key.source_id, chunk_id=key.chunk_id) for key in statement.sources],
            )
            for statement in statements
        ],
    )


def _entity(mind: Mind, tenant: TenantId, entity_id: EntityId) -> Entity:
    found = mind.graph.get(tenant, [entity_id])
    if not found:
        raise NotFound(f"There is no entity {entity_id!r}.", hint="Its last mention may be gone: look for it by name.")
    return found[0]
