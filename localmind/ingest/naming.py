"""The one way by which what chunks say gets into the graph: names are mapped through the merges on record, and noted.

What a write costs depends on what it writes: a look-up of its names' meanings, one of the entities whose names are like them, and a
few rows for abbreviations and aliases. Merging is left to resolution.py, which is told here which names to look at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from localmind.catalog.database import Database
from localmind.graph.abbreviations import definitions
from localmind.graph.aliases import Aliases, Meant, Noted
from localmind.graph.forest import Key
from localmind.graph.likeness import Likeness, Named, block_of, compare
from localmind.graph.merging import Canonical, Names, key_of
from localmind.graph.port import ChunkExtraction, Graph
from localmind.model import ChunkId, Entity, TenantId

MOST_OF_A_BLOCK = 12
"""Entities that a name is compared with, the most mentioned ones. More in one block are alike by chance."""


@dataclass(slots=True)
class _Name:
    named: Named
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about a batch's names before it was written. doubtful: names to look at once it is."""

    names: Names
    keys: frozenset[Key]
    meant: Mapping[ChunkId, Sequence[Meant]]
    doubtful: frozenset[Key] = field(default_factory=frozenset)


class Naming:
    def __init__(self, database: Database, graph: Graph) -> None:
        self._db, self._graph = database, graph
        self.aliases = Aliases(database)

    def write(self, tenant: TenantId, said: Sequence[ChunkExtraction], *, called: Mapping[Key, str] | None = None) -> None:
        """Put in place of what the chunks said what they say. called: how entities that come back are called."""
        if not said:
            return
        look = self.look(tenant, said)
        self.before(tenant, said, look, called=called)
        with self._db.write(tenant):
            self.within(tenant, said, look, called=called)

    def look(self, tenant: TenantId, said: Sequence[ChunkExtraction]) -> Look:
        spelled = _spelled(said)
        meant = {each.chunk_id: tuple(_meant(each.text)) for each in said if each.text}
        keys = frozenset({*spelled, *(key for all_of in meant.values() for each in all_of for key in (each.key, each.into_key))})
        names = self.aliases.meanings(tenant, keys)
        doubtful = {
            key
            for all_of in meant.values()
            for each in all_of
            if _root(each.key, names) != _root(each.into_key, names)
            for key in (each.key, each.into_key)
        }
        doubtful |= self._alike(tenant, {key: name for key, name in spelled.items() if key not in names})
        return Look(names, keys, meant, frozenset(doubtful))

    def before(self, tenant: TenantId, said: Sequence[ChunkExtraction], look: Look, *, called: Mapping[Key, str] | None = None) -> None:
        """Into a graph outside the catalog, before the rows are committed."""
        if not self._graph.in_catalog:
            self._graph.write(tenant, said, _with_called(look.names, called))

    def within(self, tenant: TenantId, said: Sequence[ChunkExtraction], look: Look, *, called: Mapping[Key, str] | None = None) -> None:
        """In the transaction that has the chunks' rows: into a graph that commits with it, and what is noted of them.

        A merge that was recorded since the look is followed: into a graph outside, by another write.
        """
        self.aliases.share(tenant)
        names = self.aliases.meanings(tenant, look.keys)
        if self._graph.in_catalog or names != look.names:
            self._graph.write(tenant, said, _with_called(names, called))
        self.aliases.note(tenant, {each.chunk_id: _noted(each, look, names) for each in said}, doubtful=look.doubtful)

    def _alike(self, tenant: TenantId, spelled: Mapping[Key, _Name]) -> set[Key]:
        """Those of these names that are like another one, in the batch or in the graph."""
        blocks: dict[str, list[Key]] = defaultdict(list)
        for key in spelled:
            if block := block_of(key):
                blocks[block].append(key)
        known: dict[str, dict[Key, Entity]] = defaultdict(dict)
        for block, entity in self._graph.alike(tenant, list(blocks), limit=MOST_OF_A_BLOCK):
            known[block][key_of(entity.name)] = entity
        doubtful: set[Key] = set()
        for block, keys in blocks.items():
            there = known[block]
            for one, other in combinations(keys[:MOST_OF_A_BLOCK], 2):
                if one not in there or other not in there:
                    doubtful |= self._doubts(spelled[one], there.get(one), spelled[other].named)
            for key in keys:
                for other, entity in there.items():
                    if other != key:
                        doubtful |= self._doubts(spelled[key], there.get(key), Named(other, entity.name, entity.type))
        return doubtful

    @staticmethod
    def _doubts(name: _Name, entity: Entity | None, other: Named) -> set[Key]:
        """A pair that only its neighbours can tell is looked at whenever one of the two is named twice as often as the last time."""
        before = entity.mentions if entity else 0
        likeness = compare(name.named, other)
        if likeness is Likeness.SAME or (likeness is Likeness.MAYBE and before.bit_length() != (before + name.chunks).bit_length()):
            return {name.named.key}
        return set()


def _spelled(said: Sequence[ChunkExtraction]) -> dict[Key, _Name]:
    """Names of a batch by their keys, with how many chunks spell them so."""
    found: dict[Key, _Name] = {}
    for each in said:
        keys: set[Key] = set()
        for entity in each.extraction.entities:
            key = key_of(entity.name)
            if key and key not in keys:
                keys.add(key)
                name = found.get(key)
                if name is None:
                    name = found[key] = _Name(Named(key, entity.name.strip(), entity.type))
                name.chunks += 1
    return found


def _meant(text: str) -> Iterator[Meant]:
    for short, long in definitions(text):
        key, into = key_of(short), key_of(long)
        if key and into and key != into:
            yield Meant(key, short, into, long)


def _noted(each: ChunkExtraction, look: Look, names: Names) -> Noted:
    """A chunk that spells an alias is noted with the entity's own name too, where it has both."""
    keys = {key_of(entity.name) for entity in each.extraction.entities}
    spelled = {key: names[key].key for key in keys if key in names}
    spelled |= {root: root for root in set(spelled.values()) & keys}
    return Noted(spelled, look.meant.get(each.chunk_id, ()))


def _with_called(names: Names, called: Mapping[Key, str] | None) -> Names:
    """A key that means itself again goes by the name that it had."""
    return {key: Canonical(key, name) for key, name in (called or {}).items()} | dict(names)


def _root(key: Key, names: Names) -> Key:
    return names[key].key if key in names else key
