"""The graph's part in a search: what the query names, and a walk from there and from the nearest chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from localmind.extraction.keyphrase import query_names
from localmind.graph.naming import entity_key
from localmind.graph.port import Graph, Known, Mentioned
from localmind.model import ChunkId, Entity, EntityId, Filter, ScoredChunk, TenantId
from localmind.ranking import ranked
from localmind.retrieval.walk import rarity, walk

PLAIN_WORD_WEIGHT = 0.1
"""What a name counts that is written without a capital: "song" beside "Honolulu County"."""

CHUNKS_READ = 20
"""Of the chunks near the query, those whose entities are read."""

ENTITIES_READ = 40
MENTIONS_EACH = 5
"""The entities whose other chunks are read, and how many of each: few, so that a search costs the same however large the graph is.
More of either found no more (benchmarks/RETRIEVAL.md)."""


class Found(NamedTuple):
    """chunks: all that the walk came to, best first. linked: those that it came to from an entity, by how often it came from there.

    because: names of the entities that brought it there.
    """

    chunks: list[ScoredChunk]
    linked: list[ScoredChunk]
    because: dict[ChunkId, tuple[str, ...]]


class GraphSearch:
    """Thread-safe."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def link(self, tenant: TenantId, query: str) -> Mapping[str, Entity]:
        """The entities that the query names, by the name as it stands there."""
        return self._graph.link(tenant, query_names(query))

    def walk(
        self, tenant: TenantId, named: Mapping[str, Entity], near: Mapping[ChunkId, float], *, where: Filter | None = None, times: int = 1
    ) -> Found:
        """named: from `link`. near: chunks to begin at, by weights > 0. times: how much more than usual is read.

        Entities that the query names are followed first, then those of the chunks, by how near these are and how rare they are.
        """
        read = near or self._told(tenant, named, where, times)
        nearest = sorted(read, key=lambda chunk_id: -read[chunk_id])[: CHUNKS_READ * times]
        mentioned = self._graph.mentioned_in(tenant, nearest)
        most = max((mentioned.most, *(entity.mentions for entity in named.values())))
        weights = named_weights(named, most)
        known = {entity.id: Known(entity.name, entity.mentions) for entity in named.values() if entity.id in weights}
        known |= mentioned.entities
        rarities = {id_: rarity(entity.mentions, most) for id_, entity in known.items()}
        followed = _followed(mentioned, read, weights, rarities)
        mentions = [*mentioned.edges, *self._graph.mentioning(tenant, followed, each=MENTIONS_EACH * times, where=where)]
        walked = walk(near, weights, mentions, {id_: rarities[id_] for id_ in followed})
        because = {chunk_id: tuple(known[id_].name for id_ in ids) for chunk_id, ids in walked.because.items()}
        return Found(_ranked(walked.scores), _ranked(walked.through), because)

    def _told(self, tenant: TenantId, named: Mapping[str, Entity], where: Filter | None, times: int) -> dict[ChunkId, float]:
        """Where nothing else is known to be near: the chunks that tell of what the query names, all alike."""
        found = self._graph.mentioning(tenant, [entity.id for entity in named.values()], each=MENTIONS_EACH * times, where=where)
        return {mention.chunk_id: 1 / len(found) for mention in found}


def named_weights(linked: Mapping[str, Entity], most: int) -> dict[EntityId, float]:
    """How much each named entity counts: by its words, how rare it is, and whether it is a name or a plain word.

    A name inside a longer one that is known too is part of it and names nothing by itself. Where the query is written without
    capitals, those of the graph tell names from words.
    """
    keys = {name: entity_key(name) for name in linked}
    whole = _not_contained(keys.values())
    cased = not all(name.islower() for name in linked)
    weights: dict[EntityId, float] = {}
    for name, entity in linked.items():
        if keys[name] in whole:
            is_plain = name.islower() if cased else entity.name.islower()
            weight = (1 + keys[name].count(" ")) * (PLAIN_WORD_WEIGHT if is_plain else 1.0) * rarity(entity.mentions, most)
            weights[entity.id] = max(weight, weights.get(entity.id, 0.0))
    return weights


def _followed(
    mentioned: Mentioned, near: Mapping[ChunkId, float], weights: Mapping[EntityId, float], rarities: Mapping[EntityId, float]
) -> Sequence[EntityId]:
    """The entities worth reading more of, ties by id."""
    worth = dict.fromkeys(rarities, 0.0)
    for mention in mentioned.edges:
        worth[mention.entity_id] += near[mention.chunk_id] * rarities[mention.entity_id]
    for id_, weight in weights.items():
        worth[id_] += weight
    return sorted(worth, key=lambda id_: (-worth[id_], id_))[:ENTITIES_READ]


def _ranked(scores: Mapping[ChunkId, float]) -> list[ScoredChunk]:
    return ranked(ScoredChunk(chunk_id, score) for chunk_id, score in scores.items())


def _not_contained(keys: Iterable[str]) -> set[str]:
    kept: set[str] = set()
    for key in sorted(keys, key=len, reverse=True):
        if not any(f" {key} " in f" {longer} " for longer in kept):
            kept.add(key)
    return kept
