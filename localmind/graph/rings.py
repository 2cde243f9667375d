"""What lies around an entity, ring after ring."""

from __future__ import annotations

from localmind.graph.port import Graph
from localmind.model import EntityId, TenantId


def around(graph: Graph, tenant: TenantId, center: EntityId, *, limit: int) -> list[EntityId]:
    """The centre, its heaviest neighbours, and theirs as far as there is room. [] where it is unknown."""
    chosen = [item.id for item in graph.get(tenant, [center])]
    ring = list(chosen)
    while ring and len(chosen) < limit:
        near = graph.neighbors(tenant, ring, limit=2 * limit)
        known = set(chosen)
        ring = list(dict.fromkeys(item.entity.id for item in near if item.entity.id not in known))[: limit - len(chosen)]
        chosen += ring
    return chosen
