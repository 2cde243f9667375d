"""From names to the entities that they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localmind.graph.merging import entity_id, key_of
from localmind.graph.port import Graph
from localmind.model import Entity, TenantId


def linked(graph: Graph, tenant: TenantId, names: Sequence[str]) -> Mapping[str, Entity]:
    """Those of the names that are known, whatever their spelling. One look at the graph."""
    ids = {name: entity_id(tenant, key) for name in names if (key := key_of(name))}
    known = {item.id: item for item in graph.get(tenant, list(dict.fromkeys(ids.values())))}
    return {name: known[id_] for name, id_ in ids.items() if id_ in known}
