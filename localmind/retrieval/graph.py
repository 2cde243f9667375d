"""The graph list: chunks that mention what the query names, and what lies next to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from localmind.extraction.keyphrase import query_names
from localmind.graph.naming import entity_key
from localmind.graph.port import Graph, Neighbor
from localmind.model import Entity, EntityId, Filter, ScoredChunk, TenantId

NEIGHBOR_WEIGHT = 0.3
"""What the neighbours of the named entities weigh together, of what the named ones weigh."""

NEIGHBORS_READ = 60
NEIGHBORS_USED = 12


class GraphSearch:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def search(self, tenant: TenantId, query: str, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        """As Graph.chunks, for a text; [] where it names nothing that is known."""
        weights = named_weights(self._graph.link(tenant, query_names(query)))
        if not weights:
            return []
        near = self._graph.neighbors(tenant, list(weights), limit=NEIGHBORS_READ)
        return self._graph.chunks(tenant, neighbor_weights(weights, near) | weights, limit=limit, where=where)


def named_weights(linked: Mapping[str, Entity]) -> dict[EntityId, float]:
    """How much each named entity counts: its words, so that "Bank of England" says more than "England".

    A name inside a longer one that is known too is part of it and names nothing by itself.
    """
    keys = {name: entity_key(name) for name in linked}
    whole = _not_contained(keys.values())
    return {entity.id: float(1 + keys[name].count(" ")) for name, entity in linked.items() if keys[name] in whole}


def neighbor_weights(weights: Mapping[EntityId, float], near: Sequence[Neighbor]) -> dict[EntityId, float]:
    """How much the best neighbours count: by the weight of the relations to them, less for those that are everywhere."""
    ties: dict[EntityId, float] = {}
    for entity, relation in near:
        end = relation.source if relation.target == entity.id else relation.target
        tie = weights.get(end, 0.0) * relation.weight / math.sqrt(entity.mentions)
        ties[entity.id] = ties.get(entity.id, 0.0) + tie
    best = sorted(ties.items(), key=lambda item: (-item[1], item[0]))[:NEIGHBORS_USED]
    total = sum(tie for _, tie in best)
    if not total:
        return {}
    share = NEIGHBOR_WEIGHT * sum(weights.values()) / total
    return {entity_id: share * tie for entity_id, tie in best}


def _not_contained(keys: Iterable[str]) -> set[str]:
    kept: set[str] = set()
    for key in sorted(keys, key=len, reverse=True):
        if not any(f" {key} " in f" {longer} " for longer in kept):
            kept.add(key)
    return kept
