"""Entity resolution: the same thing under several names becomes one entity, and two things under one name do not.

A write leaves the names that it has doubts about (naming.py). They are settled after it: abbreviations by what the documents define,
names by their likeness (graph/likeness.py) and, where that leaves it open, by what they stand among, then by an LLM where there is
one. What is decided is recorded (graph/aliases.py), and the chunks that name what moved are told to the graph anew.
Every step can be cut off and run again: a name stays marked until the graph has it as the record says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from localmind.catalog.chunks import batched
from localmind.errors import InvalidInput, LLMUnavailable, NotFound
from localmind.extraction.lexicon import lexicon
from localmind.graph.aliases import Meant
from localmind.graph.condensing import Condensed, condense
from localmind.graph.forest import ABBREVIATION, PERSON, Alias, Key, Merge
from localmind.graph.likeness import Likeness, Named, block_of, compare
from localmind.graph.merging import Canonical, entity_id, key_of
from localmind.ingest.extractions import Extractions
from localmind.ingest.judging import Context, Judge, Pair, weigh
from localmind.ingest.naming import MOST_OF_A_BLOCK
from localmind.ingest.store import Store
from localmind.model import ChunkId, Entity, EntityId, TenantId

KEYS_AT_ONCE = 200

CHUNKS_A_SETTLE = 300
"""Chunks that are told anew right after a write, about 0.3 s; what is left waits for a rest."""

CHUNKS_A_CALL = 2_000
"""The same, when a person asks for it."""

CHUNKS_A_WRITE = 200

ALIASES_CHECKED = 1_000

STATEMENTS_READ = 50
"""Of an entity, the longest, out of which its description is made."""

EVERY_MENTION = 2**31 - 1

SAME_LETTERS = 4
"""Of each word, by which "application program interface" and "application programming interface" are one."""


class Merged(NamedTuple):
    """entities: what there is now. left: chunks still to be told anew; a worker does it in the background."""

    entities: tuple[Entity, ...]
    left: int


class Resolution:
    def __init__(self, store: Store, extractions: Extractions, context: Context, judge: Judge | None) -> None:
        self._store, self._extractions, self._context, self._judge = store, extractions, context, judge
        self._graph, self._aliases = store.graph, store.naming.aliases

    # --- what people ask for

    def merge(self, tenant: TenantId, ids: Sequence[EntityId], *, into: EntityId | None = None, by: str = PERSON) -> Merged:
        """Make these one; without `into`, the most mentioned one. Raises InvalidInput, NotFound."""
        asked = list(dict.fromkeys(ids))
        if len(asked) < 2:
            raise InvalidInput("A merge takes two entities or more.", hint="Give the ids of at least two different entities.")
        found = self._graph.get(tenant, asked)
        missing = sorted(set(asked) - {entity.id for entity in found})
        if missing:
            raise NotFound(f"There is no entity {missing[0]!r}.", hint="It may be part of another one already: look for it by name.")
        if into is not None and into not in asked:
            raise InvalidInput(f"{into!r} is not among the entities to merge.", hint="Name as `into` one of `ids`, or leave it out.")
        target = next((entity for entity in found if entity.id == into), max(found, key=lambda entity: (entity.mentions, entity.name)))
        keys = {key_of(entity.name): entity for entity in found}
        merges = [Merge(_canonical(target), _canonical(entity), PERSON, 1.0, by) for entity in keys.values() if entity.id != target.id]
        self._aliases.merge(tenant, merges, {key: entity.mentions for key, entity in keys.items()}, into=key_of(target.name))
        left = self._carry_out(tenant, keys, chunks=CHUNKS_A_CALL)
        return Merged(tuple(self._graph.get(tenant, [target.id])), left)

    def split(self, tenant: TenantId, id_: EntityId, names: Sequence[str], *, by: str = PERSON) -> Merged:
        """Make these of its names entities of their own again, each with what was merged into it before, never to be merged by
        itself again. Raises InvalidInput, NotFound."""
        found = self._graph.get(tenant, [id_])
        if not found:
            raise NotFound(f"There is no entity {id_!r}.", hint="Its last mention may be gone: look for it by name.")
        own = key_of(found[0].name)
        known = {alias.key: alias for alias in self._aliases.groups(tenant, [own])[own]}
        keys = {key_of(name): name for name in names}
        unknown = [name for key, name in keys.items() if key not in known]
        if own in keys:
            raise InvalidInput(
                f"{found[0].name!r} is the name that the entity goes by.", hint="Split the other names off instead, one call for each."
            )
        if unknown or not keys:
            listed = ", ".join(repr(alias.name) for alias in list(known.values())[:20])
            hint = f"Its other names are {listed}." if known else "Nothing was merged into it."
            raise InvalidInput(
                f"{unknown[0][:80]!r} is no other name of {found[0].name!r}." if unknown else "No name was given.", hint=hint
            )
        moved = self._aliases.cut(tenant, list(keys), keep_apart=True, by=by)
        left = self._carry_out(tenant, moved, chunks=CHUNKS_A_CALL)
        return Merged(tuple(self._graph.get(tenant, [id_, *(entity_id(tenant, key) for key in keys)])), left)

    def aliases(self, tenant: TenantId, entity: Entity, *, limit: int = 100) -> list[Alias]:
        """Its other names that documents use."""
        return self._aliases.in_use(tenant, key_of(entity.name), limit=limit)

    def described(self, tenant: TenantId, entity: Entity) -> list[Condensed]:
        """What documents say of it under all its names, each sentence once, with where it stands."""
        return condense(self._graph.statements(tenant, entity.id, limit=STATEMENTS_READ))

    # --- after writes and deletes

    def settle(self, tenant: TenantId, *, chunks: int | None = CHUNKS_A_SETTLE, ask: bool = False) -> int:
        """See to the names that writes left; returns how many chunks could not be told anew within `chunks` (None: no limit).

        ask: whether an LLM is asked about pairs that nothing else tells.
        """
        after, left = "", 0
        while marked := self._aliases.unsettled(tenant, after=after, limit=KEYS_AT_ONCE):
            after = max(marked)
            self._decide(tenant, set(marked), ask=ask)
            before = left
            left += self._carry_out(tenant, marked, chunks=chunks)
            if left > before and chunks is not None:
                break
        # What was merged into a name that comes earlier in the order, or cut off from it.
        again = [key for key in self._aliases.unsettled(tenant, limit=KEYS_AT_ONCE) if key <= after] if after and not left else []
        return left + (self._carry_out(tenant, again, chunks=chunks) if again else 0)

    def settle_all(self) -> None:
        """At rest: whatever is left of every tenant."""
        for tenant in self._aliases.tenants():
            self.settle(tenant, ask=True)

    def taken_back(self, tenant: TenantId) -> None:
        """After documents went: no entity goes by a name that only they had. Costs one look at the entities that have aliases."""
        gone = self._unspoken(tenant)
        if gone:
            self._aliases.cut(tenant, [edge.key for edges in self._aliases.groups(tenant, gone).values() for edge in edges])
        self.settle(tenant)

    # --- reconcile

    def wrong(self, tenant: TenantId) -> list[Key]:
        """Names that stand in the graph otherwise than the record says, but for those that are being seen to."""
        found = set(self._aliases.all_stale(tenant))
        after = ""
        while page := self._aliases.page(tenant, after=after, limit=ALIASES_CHECKED):
            after = page[-1].key
            there = {entity.id for entity in self._graph.get(tenant, [entity_id(tenant, edge.key) for edge in page])}
            found |= {edge.key for edge in page if entity_id(tenant, edge.key) in there}
        found |= set(self._unspoken(tenant))
        waiting: set[Key] = set()
        after = ""
        while found and (marked := self._aliases.unsettled(tenant, after=after, limit=ALIASES_CHECKED)):
            after = max(marked)
            waiting |= marked.keys()
        return sorted(found - waiting)

    def mend(self, tenant: TenantId, keys: Collection[Key]) -> None:
        self._aliases.mark(tenant, dict.fromkeys(keys))
        self.taken_back(tenant)
        self.settle(tenant, chunks=None)

    def _unspoken(self, tenant: TenantId) -> list[Key]:
        """Entities that every document calls otherwise, by a machine's merge."""
        groups = self._aliases.spelled_groups(tenant)
        found: list[Key] = []
        for roots in batched([root for root, (_, own) in groups.items() if not own], ALIASES_CHECKED):
            entities = self._graph.get(tenant, [entity_id(tenant, root) for root in roots])
            mentions = {key_of(entity.name): entity.mentions for entity in entities}
            found += [root for root in roots if mentions.get(root, 0) <= groups[root][0]]
        edges = self._aliases.groups(tenant, found)
        return [root for root in found if any(edge.is_by_machine and edge.into_key == root for edge in edges[root])]

    # --- deciding

    def _decide(self, tenant: TenantId, keys: set[Key], *, ask: bool) -> None:
        edges = self._aliases.of(tenant, keys)
        shorts = keys | {edge.into_key for edge in edges.values() if edge.why == ABBREVIATION}
        meant = {key: _one_meaning([each for each, _ in found]) for key, found in self._aliases.definitions(tenant, shorts).items()}
        self._aliases.cut(tenant, self._unfounded(tenant, edges, meant))
        merges = [
            Merge(Canonical(each.key, each.name), Canonical(each.into_key, each.into_name), ABBREVIATION, 1.0)
            for key in sorted(keys & meant.keys())
            for each in meant[key]
        ]
        merges += self._alike(tenant, keys, ask=ask)
        named = sorted({each.key for merge in merges for each in (merge.one, merge.other)})
        roots = {key: edge.root_key for key, edge in self._aliases.of(tenant, named).items()}
        counted = sorted({roots.get(key, key) for key in named})
        entities = self._graph.get(tenant, [entity_id(tenant, key) for key in counted])
        self._aliases.merge(tenant, merges, {key_of(entity.name): entity.mentions for entity in entities})

    def _unfounded(self, tenant: TenantId, edges: Mapping[Key, Alias], meant: Mapping[Key, Sequence[Meant]]) -> list[Key]:
        """A machine's merges that nothing justifies any more: no document defines the abbreviation, or none has the name."""
        by_machine = [edge for edge in edges.values() if edge.is_by_machine]
        pairs = {frozenset((each.key, each.into_key)) for found in meant.values() for each in found}
        undefined = [edge.key for edge in by_machine if edge.why == ABBREVIATION and frozenset((edge.key, edge.into_key)) not in pairs]
        others = [edge.key for edge in by_machine if edge.why != ABBREVIATION]
        spelled = self._aliases.spelled(tenant, others)
        unspelled = {entity_id(tenant, key): key for key in others if key not in spelled}
        there = {entity.id for entity in self._graph.get(tenant, list(unspelled))}
        return undefined + [key for id_, key in unspelled.items() if id_ not in there]

    def _alike(self, tenant: TenantId, keys: Collection[Key], *, ask: bool) -> list[Merge]:
        """Merges of entities under these keys with what is in their blocks."""
        own = self._graph.get(tenant, [entity_id(tenant, key) for key in sorted(keys)])
        blocks: dict[str, list[Entity]] = defaultdict(list)
        for entity in own:
            blocks[block_of(key_of(entity.name))].append(entity)
        pairs: dict[frozenset[EntityId], tuple[Likeness, Pair]] = {}
        for block, entity in self._graph.alike(tenant, list(blocks), limit=MOST_OF_A_BLOCK):
            for one in blocks[block]:
                if one.id != entity.id and (likeness := compare(_named(one), _named(entity))):
                    pairs.setdefault(frozenset((one.id, entity.id)), (likeness, Pair(one, entity)))
        same = [pair for likeness, pair in pairs.values() if likeness is Likeness.SAME]
        open_ = [pair for likeness, pair in pairs.values() if likeness is Likeness.MAYBE]
        merges = [Merge(_canonical(pair.one), _canonical(pair.other), "name", 0.95) for pair in same]
        return merges + self._by_context(tenant, open_, ask=ask)

    def _by_context(self, tenant: TenantId, pairs: Sequence[Pair], *, ask: bool) -> list[Merge]:
        if not pairs:
            return []
        apart = self._aliases.apart(tenant, {key_of(entity.name) for pair in pairs for entity in pair})
        pairs = [pair for pair in pairs if frozenset(map(key_of, (pair.one.name, pair.other.name))) not in apart]
        merges: list[Merge] = []
        unsure: list[Pair] = []
        for pair, score in zip(pairs, weigh(self._context.of(tenant, pairs)), strict=True):
            if score.is_same:
                merges.append(Merge(_canonical(pair.one), _canonical(pair.other), "context", round(score.similarity, 3)))
            elif score.is_open:
                unsure.append(pair)
        if ask and self._judge is not None and unsure:
            merges += self._by_judge(tenant, unsure)
        return merges

    def _by_judge(self, tenant: TenantId, pairs: Sequence[Pair]) -> list[Merge]:
        """A verdict is kept, so that nobody is asked for it twice."""
        assert self._judge is not None
        try:
            verdicts = self._judge.same(tenant, self._context.described(tenant, pairs))
        except LLMUnavailable:
            return []
        told = list(zip(pairs, verdicts, strict=True))
        different = [(key_of(pair.one.name), key_of(pair.other.name)) for pair, is_same in told if is_same is False]
        self._aliases.keep_apart(tenant, different, by="llm")
        return [Merge(_canonical(pair.one), _canonical(pair.other), "llm", 0.9) for pair, is_same in told if is_same]

    # --- carrying out

    def _carry_out(self, tenant: TenantId, keys: Iterable[Key], *, chunks: int | None) -> int:
        """Tell the graph anew what chunks say by these names, as the record has it now; returns how many chunks are left."""
        waiting = set(keys)
        marked = {key: value for page in self._marked(tenant, waiting) for key, value in page.items() if key in waiting}
        places = self._misplaced(tenant, marked)
        called = {key: name for key, (name, _) in marked.items() if name}
        room = chunks if chunks is not None else EVERY_MENTION
        left, done = 0, {key: marks for key, (_, marks) in marked.items() if not places.get(key)}
        busy = self._store.catalog.jobs.open_sources() if self._extractions.llm_version is not None and places else set()
        told: set[ChunkId] = set()
        for key, ids in places.items():
            fresh = [id_ for id_ in ids if id_ not in told]
            now = fresh[:room]
            skipped = sum(self._tell(tenant, batch, called, busy) for batch in batched(now, CHUNKS_A_WRITE))
            told.update(now)
            room -= len(now)
            left += len(fresh) - len(now) + skipped
            if len(now) == len(fresh) and not skipped:
                done[key] = marked[key][1]
        self._aliases.settled(tenant, done)
        return left

    def _marked(self, tenant: TenantId, keys: Collection[Key]) -> Iterator[dict[Key, tuple[str | None, int]]]:
        """Pages of marks from the least of the keys to the greatest."""
        if not keys:
            return
        after, last = "", max(keys)
        while page := self._aliases.unsettled(tenant, after=after, limit=ALIASES_CHECKED):
            yield page
            after = max(page)
            if after >= last:
                return

    def _misplaced(self, tenant: TenantId, keys: Collection[Key]) -> dict[Key, list[ChunkId]]:
        """By key, the chunks whose mentions stand elsewhere than the key's meaning."""
        found = {key: list(ids) for key, ids in self._aliases.stale(tenant, keys).items()}
        merged = self._aliases.meanings(tenant, keys)
        ids = {entity_id(tenant, key): key for key in merged}
        for entity in self._graph.get(tenant, list(ids)):
            found.setdefault(ids[entity.id], []).extend(self._graph.mentions(tenant, entity.id, limit=EVERY_MENTION))
        return found

    def _tell(self, tenant: TenantId, ids: list[ChunkId], called: Mapping[Key, str], busy: Collection[str]) -> int:
        """Write these chunks anew; returns how many were left, since an LLM's answers for them may be on their way."""
        with self._store.transaction_of(tenant, self._graph):  # what is read is what is written
            said = self._extractions.said(tenant, ids)
            ready = [each for each in said if each.source_id not in busy]
            self._store.naming.write(tenant, ready, called=called)
        left = len(said) - len(ready)
        if not self._graph.in_catalog:  # a chunk that was deleted meanwhile does not come back
            present = self._store.catalog.chunks.present(tenant, [each.chunk_id for each in ready])
            for source in sorted({each.source_id for each in ready if each.chunk_id not in present}):
                left += not self._store.sweep_if_idle(tenant, source)
        return left


def _one_meaning(found: Sequence[Meant]) -> list[Meant]:
    """What an abbreviation stands for, in all its spellings; [] where documents differ, or where it is a word."""
    if not found or found[0].key in lexicon().english.breaks:
        return []
    first = found[0]
    return list(found) if all(_is_one_expansion(first, other) for other in found[1:]) else []


def _is_one_expansion(one: Meant, other: Meant) -> bool:
    if one.into_key == other.into_key:
        return True
    words = one.into_key.split(), other.into_key.split()
    if len(words[0]) == len(words[1]) and all(a[:SAME_LETTERS] == b[:SAME_LETTERS] for a, b in zip(*words, strict=True)):
        return True
    return bool(compare(Named(one.into_key, one.into_name, "concept"), Named(other.into_key, other.into_name, "concept")))


def _named(entity: Entity) -> Named:
    return Named(key_of(entity.name), entity.name, entity.type)


def _canonical(entity: Entity) -> Canonical:
    return Canonical(key_of(entity.name), entity.name)
