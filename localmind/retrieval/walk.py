"""A random walk with restart over a small part of the graph: chunks, the entities that they mention, and back. Pure.

Personalized PageRank as in HippoRAG 2 (Gutiérrez et al., "From RAG to Memory", 2025), on what surrounds a query instead of on the
whole graph. The walk begins again and again at the entities that the query names and at the chunks that are near it, so that
names, meaning and words meet before anything is ranked: a chunk that none of the lists has is found where several of them lead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from localmind.graph.port import Edge
from localmind.model import ABOUT, ChunkId, EntityId

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

NAMED_SHARE = 0.5
"""Of the restarts, those at entities that the query names; the rest are at chunks."""

DAMPING = 0.8
"""The share of steps that go on instead of beginning again."""

ROUNDS = 12
"""0.8 to the power of 12 is 0.07: what is left then moves no chunk by a place that matters."""

SUBJECT_WEIGHT = 8.0
"""How much a mention leads that says what its chunk is about, beside one in passing, which counts up to 2."""

TO_SUBJECT_WEIGHT = 2.0
"""How much more a mention leads whose entity some other chunk is about: there is something to be read about it."""

REASONS = 5
LEAST_REASON = 0.1
LEAST_THROUGH = 1e-9
"""Entities shown with a chunk: those that brought at least this share of what came through entities. Less than LEAST_THROUGH of what
came to the chunk that most came to is rounding."""
# All chosen on one half of two sets of questions and reported on the other: benchmarks/RETRIEVAL.md.


class Walked(NamedTuple):
    """How often the walk is at each chunk; how often it came there from an entity, not counting what the chunk itself had given to it,
    where it did; from which ones, the main ones first."""

    scores: dict[ChunkId, float]
    through: dict[ChunkId, float]
    because: dict[ChunkId, tuple[EntityId, ...]]


def rarity(mentions: int, most: int) -> float:
    """log(1 + N / mentions); N (most): how often the most frequent entity is mentioned, which unlike the number of chunks is known."""
    return math.log1p(max(most, 1) / max(mentions, 1))


def walk(
    near: Mapping[ChunkId, float], named: Mapping[EntityId, float], mentions: Sequence[Edge], rarities: Mapping[EntityId, float]
) -> Walked:
    """near, named: where it begins, by weights > 0. mentions: the edges; those of entities without a rarity are left out.

    Chunks of `near` that no edge leads to are there as well: without any edge the scores are near's shares.
    """
    edges = list({(mention.chunk_id, mention.entity_id): mention for mention in mentions if mention.entity_id in rarities}.values())
    chunks = list(dict.fromkeys([*near, *(edge.chunk_id for edge in edges)]))
    entities = list(rarities)
    if not chunks:
        return Walked({}, {}, {})
    at_chunk, at_entity = _places(chunks, [edge.chunk_id for edge in edges]), _places(entities, [edge.entity_id for edge in edges])
    weights = _weights(edges, at_entity, np.array([rarities[id_] for id_ in entities]))
    begin_chunk, begin_entity = _restart([near.get(id_, 0.0) for id_ in chunks], [named.get(id_, 0.0) for id_ in entities])
    to_entity = weights / np.bincount(at_chunk, weights, len(chunks))[at_chunk]
    to_chunk = weights / np.bincount(at_entity, weights, len(entities))[at_entity]

    here, there = begin_chunk, begin_entity
    back = np.zeros(len(edges))
    for _ in range(ROUNDS):
        back = DAMPING * here[at_chunk] * to_entity
        here, there = (
            (1 - DAMPING) * begin_chunk + DAMPING * np.bincount(at_chunk, there[at_entity] * to_chunk, len(chunks)),
            (1 - DAMPING) * begin_entity + np.bincount(at_entity, back, len(entities)),
        )
    # What a chunk gave to an entity and gets back from it says nothing for the chunk.
    flow = (there[at_entity] - back) * to_chunk
    came = np.bincount(at_chunk, flow, len(chunks))
    through = {chunks[n]: float(came[n]) for n in np.flatnonzero(came > LEAST_THROUGH * came.max(initial=0.0))}
    return Walked(dict(zip(chunks, here.tolist(), strict=True)), through, _reasons(edges, flow, through))


def _places(ids: Sequence[str], of: Sequence[str]) -> Places:
    place = {id_: n for n, id_ in enumerate(ids)}
    return np.array([place[id_] for id_ in of], np.intp)


def _weights(edges: Sequence[Edge], at_entity: Places, rarities: Floats) -> Floats:
    """Rarer entities lead further, and mentions that say what a chunk is about; often named is little more than named."""
    given = np.array([edge.weight for edge in edges], np.float64)
    is_subject = given >= ABOUT
    told_of = np.zeros(len(rarities), bool)
    told_of[at_entity[is_subject]] = True
    weights = np.where(is_subject, SUBJECT_WEIGHT, 2 * given / (given + 1))
    weights[~is_subject & told_of[at_entity]] *= TO_SUBJECT_WEIGHT
    return weights * rarities[at_entity] if len(edges) else weights


def _restart(near: Sequence[float], named: Sequence[float]) -> tuple[Floats, Floats]:
    """Shares of the restarts, together 1."""
    chunks, entities = np.array(near, np.float64), np.array(named, np.float64)
    share = (NAMED_SHARE if chunks.sum() else 1.0) if entities.sum() else 0.0
    return chunks * ((1 - share) / (chunks.sum() or 1.0)), entities * (share / (entities.sum() or 1.0))


def _reasons(edges: Sequence[Edge], flow: Floats, through: Mapping[ChunkId, float]) -> dict[ChunkId, tuple[EntityId, ...]]:
    reasons: dict[ChunkId, list[EntityId]] = {}
    for n in np.argsort(-flow, kind="stable").tolist():
        edge = edges[n]
        if edge.chunk_id in through and flow[n] >= LEAST_REASON * through[edge.chunk_id]:
            reasons.setdefault(edge.chunk_id, []).append(edge.entity_id)
    return {chunk_id: tuple(some[:REASONS]) for chunk_id, some in reasons.items()}
