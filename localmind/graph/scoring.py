"""Which entities and mentions a search reads, and how much each counts. Pure: adapters carry it out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from localmind.graph.port import Edge
from localmind.model import EntityId

K = TypeVar("K")

LOOKED_UP = 4
"""Entities too frequent to be read that are still looked up: the rarest."""


def damped(weight: float, *, mentions: int, top: int) -> float:
    """An entity's weight in a search: the more chunks mention it, the less it says.

    log(1 + N / mentions) squared: once for what the entity tells of the query and once for what it tells of the chunk. N (top) is how
    often the tenant's most frequent entity is mentioned: so many chunks there are at least, and unlike their number it is known
    without counting.
    """
    return weight * math.log1p(top / mentions) ** 2


def plan(mentions: Sequence[tuple[K, int]], *, rows: int) -> tuple[list[K], list[K]]:
    """(key, mentions), the rarest first, into those that are read whole, as long as the rows last, and those that are looked up."""
    read: list[K] = []
    left = rows
    for key, count in mentions:
        left -= count
        if left < 0:
            break
        read.append(key)
    return read, [key for key, _ in mentions[len(read) : len(read) + LOOKED_UP]]


def strongest(mentions: Iterable[Edge], each: int) -> list[Edge]:
    """Of each entity the `each` strongest mentions, ties by chunk id."""
    by_entity: defaultdict[EntityId, list[Edge]] = defaultdict(list)
    for mention in mentions:
        by_entity[mention.entity_id].append(mention)
    kept: list[Edge] = []
    for some in by_entity.values():
        kept += some if len(some) <= each else sorted(some, key=lambda mention: (-mention.weight, mention.chunk_id))[:each]
    return kept
