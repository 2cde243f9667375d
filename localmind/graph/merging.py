"""What a batch of extractions says, merged under entity keys. Pure: adapters carry it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from localmind.graph.naming import entity_key
from localmind.ids import stable_id
from localmind.model import ABOUT, MOST_PASSING, ChunkId, EntityId, ExtractedRelation, Extraction, TenantId

ANY_TYPE = "concept"
"""What an extractor says that knows no better; any other type wins over it."""

SYMMETRIC = "related"
"""The type of relations that have no direction."""

KEY_CHARS = 200
TYPE_CHARS = 64
"""The catalog's column; PostgreSQL indexes no key much over 2,000 bytes."""


class Said(NamedTuple):
    """What one chunk says of an entity or a relation. weight: summed over its spellings."""

    weight: float
    description: str


class RelationKey(NamedTuple):
    """Keys of the ends, in the order of the alphabet where the type has no direction."""

    source: str
    target: str
    type: str


class Canonical(NamedTuple):
    """What a name means by the merges that are on record: the key of the entity, and the name it goes by."""

    key: str
    name: str


Names = Mapping[str, Canonical]
"""By the key of the spelling. What it lacks means itself."""


@dataclass(slots=True)
class MergedEntity:
    names: Counter[str] = field(default_factory=Counter)
    called: str = ""
    type: str = ANY_TYPE
    description: str = ""
    chunks: int = 0

    @property
    def name(self) -> str:
        """The one on record, or the spelling met most often, of those the first."""
        return self.called or self.names.most_common(1)[0][0]


@dataclass(slots=True)
class MergedRelation:
    description: str = ""
    weight: float = 0.0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Merged:
    """mentions and evidence are by chunk, then by what it names."""

    entities: dict[str, MergedEntity]
    relations: dict[RelationKey, MergedRelation]
    mentions: dict[ChunkId, dict[str, Said]]
    evidence: dict[ChunkId, dict[RelationKey, Said]]


def key_of(name: str) -> str:
    """entity_key, short enough for every engine's index."""
    return entity_key(name)[:KEY_CHARS]


def entity_id(tenant: TenantId, key: str) -> EntityId:
    return EntityId(stable_id("entity", tenant, key))


def longer(first: str, second: str) -> str:
    """The description to keep: whichever is longer, the first where they are equally long."""
    return second if len(second) > len(first) else first


def merge(extractions: Mapping[ChunkId, Extraction], names: Names | None = None) -> Merged:
    """Entities under one key are one, relations between the same ends of the same type are one, of a chunk and over chunks.

    A name without a letter or digit is no entity; a relation to itself, or to a name that the chunk's entities lack, is none.
    Of an entity's type only mentions under its own key tell: so it is what it was when an alias is split off again.
    """
    names = names or {}
    merged = Merged({}, {}, {}, {})
    for chunk_id, extraction in extractions.items():
        mentions = _add_entities(merged.entities, extraction, names)
        evidence = _add_relations(merged.relations, extraction.relations, mentions, names)
        if mentions:
            merged.mentions[chunk_id] = mentions
        if evidence:
            merged.evidence[chunk_id] = evidence
    return merged


def _add_entities(entities: dict[str, MergedEntity], extraction: Extraction, names: Names) -> dict[str, Said]:
    mentions: dict[str, Said] = {}
    for found in extraction.entities:
        spelled = key_of(found.name)
        if not spelled:
            continue
        meant = names.get(spelled)
        key = meant.key if meant else spelled
        said = mentions.get(key)
        entity = entities.get(key)
        if entity is None:
            entity = entities[key] = MergedEntity()
        entity.names[found.name.strip()] += 1
        if meant:
            entity.called = meant.name
        if key == spelled and entity.type == ANY_TYPE and found.type:
            entity.type = found.type[:TYPE_CHARS]
        if said is None:
            entity.chunks += 1
            mentions[key] = Said(found.weight, found.description)
        else:
            mentions[key] = Said(_together(said.weight, found.weight), longer(said.description, found.description))
        entity.description = longer(entity.description, found.description)
    return mentions


def _together(one: float, other: float) -> float:
    """The weight of two spellings: named in passing under two names, an entity is still not what the chunk is about."""
    return one + other if max(one, other) >= ABOUT else min(one + other, MOST_PASSING)


def _add_relations(
    relations: dict[RelationKey, MergedRelation], found: Iterable[ExtractedRelation], mentions: Mapping[str, Said], names: Names
) -> dict[RelationKey, Said]:
    evidence: dict[RelationKey, Said] = {}
    for item in found:
        source, target = (names[key].key if key in names else key for key in (key_of(item.source), key_of(item.target)))
        if source == target or source not in mentions or target not in mentions:
            continue
        kind = item.type[:TYPE_CHARS] or SYMMETRIC
        if kind == SYMMETRIC and target < source:
            source, target = target, source
        key = RelationKey(source, target, kind)
        relation = relations.get(key)
        if relation is None:
            relation = relations[key] = MergedRelation()
        said = evidence.get(key)
        if said is None:
            relation.chunks += 1
            evidence[key] = Said(item.weight, item.description)
        else:
            evidence[key] = Said(said.weight + item.weight, longer(said.description, item.description))
        relation.weight += item.weight
        relation.description = longer(relation.description, item.description)
    return evidence
