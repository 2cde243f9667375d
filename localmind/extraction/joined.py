"""What an LLM said of a chunk beside what is found without one. Pure.

An LLM names fewer things, and not always what a chunk is about by the name that its title has: by its entities alone a search finds
less than by keyphrases alone. Together they find more than either (benchmarks/RETRIEVAL.md).
"""

from __future__ import annotations

from dataclasses import replace

from localmind.graph.naming import entity_key
from localmind.model import MOST_PASSING, Extraction


def joined(said: Extraction, found: Extraction) -> Extraction:
    """The LLM's entities with its types, descriptions and relations, then those that only `found` has, without relations.

    Weights: the greater of both; an LLM's count of a name alone never says that the chunk is about it.
    """
    weights = {entity_key(entity.name): entity.weight for entity in found.entities}
    named = {entity_key(entity.name) for entity in said.entities}
    entities = (
        replace(entity, weight=max(min(entity.weight, MOST_PASSING), weights.get(entity_key(entity.name), 0.0))) for entity in said.entities
    )
    return replace(said, entities=(*entities, *(entity for entity in found.entities if entity_key(entity.name) not in named)))
