"""Which mentions of an entity a search reads. Pure: adapters carry it out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from localmind.graph.port import Mention
from localmind.model import EntityId


def strongest(mentions: Iterable[Mention], each: int) -> list[Mention]:
    """Of each entity the `each` strongest mentions, ties by chunk id."""
    by_entity: defaultdict[EntityId, list[Mention]] = defaultdict(list)
    for mention in mentions:
        by_entity[mention.entity_id].append(mention)
    kept: list[Mention] = []
    for some in by_entity.values():
        kept += some if len(some) <= each else sorted(some, key=lambda mention: (-mention.weight, mention.chunk_id))[:each]
    return kept
