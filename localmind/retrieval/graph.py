"""The graph list: chunks that mention what the query names, and what lies next to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from localmind.extraction.keyphrase import query_names
from localmind.graph.naming import entity_key
from localmind.graph.port import Graph, Neighbor
from localmind.model import Entity, EntityId, Filter, ScoredChunk, TenantId

PLAIN_WORD_WEIGHT = 0.2
"""What a name counts that the query writes without a capital: "song" beside "Honolulu County"."""

NEIGHBOR_WEIGHT = 0.3
"""What the neighbours of the named entities count together, of what the named ones count."""

NEIGHBORS_READ = 60
NEIGHBORS_USED = 4
# These were chosen on one half of two sets of questions and reported on the other: benchmarks/RETRIEVAL.md.


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
    """How much each named entity counts, by the name's words and capitals; how rare it is the graph knows.

    A name inside a longer one that is known too is part of it and names nothing by itself.
    """
    keys = {name: entity_key(name) for name in linked}
    whole = _not_contained(keys.values())
    weights: dict[EntityId, float] = {}
    for name, entity in linked.items():
        if keys[name] in whole:
            weight = math.sqrt(1 + keys[name].count(" ")) * (PLAIN_WORD_WEIGHT if name.islower() else 1.0)
            weights[entity.id] = max(weight, weights.get(entity.id, 0.0))
    return weights


def neighbor_weights(weights: Mapping[EntityId, float], near: Sequence[Neighbor]) -> dict[EntityId, float]:
    """How much the closest neighbours count, by the root of their relations' weights."""
    ties: dict[EntityId, float] = {}
    for entity, relation in near:
        end = relation.source if relation.target == entity.id else relation.target
        ties[entity.id] = ties.get(entity.id, 0.0) + weights.get(end, 0.0) * math.sqrt(relation.weight)
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
