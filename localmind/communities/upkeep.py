"""Keeps a tenant's communities up to date with its graph. Every step can be killed and run again.

What changed is found by holding the graph's entities against those that were placed, so no event can be lost, whichever engine has the
graph and whichever process wrote to it. Rows come before the members that lie in them, and go after.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import batched
from localmind.catalog.communities import Kept, Member
from localmind.communities import describing, summarising
from localmind.communities.describing import Text
from localmind.communities.finding import Edges, Partition, Place, anew, around
from localmind.communities.port import EntityNetwork, Shown
from localmind.communities.summarising import Asked
from localmind.embedding.port import Embedder
from localmind.errors import Cancelled
from localmind.graph.port import Graph
from localmind.ids import random_id
from localmind.llm.metering import Spent
from localmind.llm.port import LLM
from localmind.model import CentralEntity, Community, CommunityId, EntityId, Quote, TenantId

if TYPE_CHECKING:
    from localmind.catalog.chunks import VisibleChunk
    from localmind.ingest.budget import Budget
    from localmind.model import ChunkId

SMALL = 1_000
"""A graph of so few entities is looked at anew each time."""

MOVED_SHARE = 0.2
"""A larger one only after this share of its entities came or went; until then new ones find their place among what is there."""

ENTITIES_A_READ = 20_000
LEASE_S = 300.0

AT_ONCE = 16
"""Communities described with one round of questions to the stores."""

LOOKED_AT = 300
"""Members, those mentioned most, among which the central ones are looked for."""

CHUNKS = 8
"""Chunks of a community that its summary may be taken from."""

EMBEDDED_CHARS = 300
"""Of the summary, beside title and names."""

LLM_LEAST = 8
"""Smaller communities are described without the LLM."""

LLM_CALLS = 100
"""Most calls of one update; the largest communities come first, the others at the next."""

LLM_DRIFT = 0.1
"""What an LLM wrote stays until this share of the members has changed."""


@dataclass(slots=True)
class Report:
    """What an update did. entities: that came, went, or are mentioned more or less often. calls: that were tried.

    spent: on those that the LLM answered.
    """

    entities: int = 0
    communities: int = 0
    is_anew: bool = False
    described: int = 0
    gone: int = 0
    calls: int = 0
    spent: Spent = field(default_factory=Spent)
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Draft:
    """A community before it has words. top: members mentioned most, with how often."""

    id: CommunityId
    place: Place
    size: int
    mentions: int
    drift: int
    top: Mapping[EntityId, int]


class Upkeep:
    """Thread-safe; of all processes one at a time works on a tenant."""

    def __init__(
        self,
        catalog: Catalog,
        graph: Graph,
        network: EntityNetwork,
        embedder: Embedder,
        llm: LLM | None,
        *,
        llm_concurrency: int = 1,
        budget: Budget | None = None,
    ) -> None:
        """budget: what the LLM may cost a tenant, for documents and for this; None: no limit."""
        self._catalog, self._graph, self._network, self._embedder, self._llm = catalog, graph, network, embedder, llm
        self._llm_concurrency, self._budget = llm_concurrency, budget
        self._made_by = "" if llm is None else summarising.version(llm)
        self._stopping = threading.Event()
        self._working = threading.Lock()
        self._owner = random_id()

    def update(self, tenant: TenantId) -> Report | None:
        """Bring them up to date; None where another process is at it. Raises StoreUnavailable, Cancelled; never because the LLM is away."""
        with self._working:
            return self._update_alone(tenant)

    def _update_alone(self, tenant: TenantId) -> Report | None:
        table = self._catalog.communities
        if not table.take(tenant, self._owner, lease_s=LEASE_S):
            return None
        started = time.monotonic()
        report = Report()
        try:
            self._update(tenant, report)
        finally:
            table.release(tenant, self._owner)
        report.took_s = time.monotonic() - started
        if report.described or report.gone:
            log = structlog.get_logger(__name__)
            log.info("communities_updated", communities=report.communities, described=report.described, took_s=round(report.took_s, 2))
        return report

    def stop(self) -> None:
        """An update that is under way, or begun later, gives up at its next step."""
        self._stopping.set()

    def remake(self, tenant: TenantId) -> Report | None:
        """Find and show all anew; what an LLM wrote about the same members is kept."""
        with self._working:
            self._network.hide_all(tenant)
            self._catalog.communities.clear(tenant)
            return self._update_alone(tenant)

    # --- what changed

    def _update(self, tenant: TenantId, report: Report) -> None:
        table = self._catalog.communities
        mentions = {each.entity: each.mentions for batch in self._network.entities(tenant) for each in batch}
        placed = {member.entity: member for batch in table.members(tenant) for member in batch}
        kept = {each.community.id: each for each in table.kept(tenant)}
        new = {entity: count for entity, count in mentions.items() if entity not in placed}
        gone = [entity for entity in placed if entity not in mentions]
        recounted = [entity for entity, count in mentions.items() if entity in placed and placed[entity].mentions != count]
        report.entities = len(new) + len(gone) + len(recounted)
        report.communities = len(kept)
        if not report.entities and not self._unfinished(kept.values()):
            return
        before = _partition(placed.values(), kept)
        moved = table.moved(tenant) + len(new) + len(gone)
        report.is_anew = before is None or not kept or len(mentions) <= SMALL or moved > MOVED_SHARE * len(mentions)
        if before is None or report.is_anew:
            found, moved = self._anew(tenant, mentions, before or Partition()), 0
        else:
            found = around(tenant, before, new, gone, self._network.touching(tenant, list(new)), mentions)
        self._write(tenant, before or Partition(), found, mentions, placed, kept, recounted, report)
        table.settle(tenant, moved=moved)

    def _anew(self, tenant: TenantId, mentions: Mapping[EntityId, int], before: Partition) -> Partition:
        edges = Edges(mentions)
        for batch in batched(edges.ids, ENTITIES_A_READ):
            for links in self._network.leaving(tenant, batch):
                edges.add(links)
        return anew(tenant, edges, before)

    def _unfinished(self, kept: Iterable[Kept]) -> bool:
        """Whether there are communities without a vector, or that the LLM has not written about yet."""
        unwritten = (each.community.size >= LLM_LEAST and each.community.made_by != self._made_by for each in kept)
        return any(not each.has_vector for each in kept) or (self._llm is not None and any(unwritten))

    # --- writing

    def _write(
        self,
        tenant: TenantId,
        before: Partition,
        found: Partition,
        mentions: Mapping[EntityId, int],
        placed: Mapping[EntityId, Member],
        kept: Mapping[CommunityId, Kept],
        recounted: Collection[EntityId],
        report: Report,
    ) -> None:
        table = self._catalog.communities
        touched = _touched(before, found, kept, recounted)
        touched |= {id_ for id_ in found.tree.keys() & kept.keys() if self._unfinished([kept[id_]])}
        members = found.members()
        drafts = _drafts(found, before, members, mentions, kept, touched)
        gone = [id_ for id_ in kept if id_ not in found.tree]
        for batch in batched(drafts, AT_ONCE):
            table.put(tenant, self._described(tenant, batch, kept, report))
            if self._stopping.is_set() or not table.take(tenant, self._owner, lease_s=LEASE_S):
                raise Cancelled("The communities are left as they are; the next update goes on.")
        report.described, report.gone, report.communities = len(drafts), len(gone), len(found.tree)
        self._show(tenant, found, members, touched, gone)
        moved = [
            Member(entity, finest, mentions[entity])
            for entity, finest in found.finest.items()
            if entity in mentions and placed.get(entity) != (entity, finest, mentions[entity])
        ]
        table.place(tenant, moved)
        table.forget_members(tenant, [entity for entity in placed if entity not in found.finest])
        table.forget(tenant, gone)

    def _show(
        self,
        tenant: TenantId,
        found: Partition,
        members: Mapping[CommunityId, Sequence[EntityId]],
        touched: Collection[CommunityId],
        gone: Sequence[CommunityId],
    ) -> None:
        order = sorted((id_ for id_ in touched if id_ in found.tree), key=lambda id_: (found.tree[id_].level, id_))
        for batch in batched(order, 500):
            rows = self._catalog.communities.some(tenant, batch)
            shown = [Shown(each, [entity for entity in members[each.id] if found.finest[entity] == each.id]) for each in rows]
            self._network.show(tenant, shown, ())
        self._network.show(tenant, (), gone)

    # --- words

    def _described(
        self, tenant: TenantId, drafts: Sequence[_Draft], kept: Mapping[CommunityId, Kept], report: Report
    ) -> list[dict[str, Any]]:
        central = self._central(tenant, drafts)
        chunks = {draft.id: self._chunks(tenant, central[draft.id]) for draft in drafts}
        old = {draft.id: kept[draft.id].community for draft in drafts if draft.id in kept}
        wanted = {each.chunk_id for one in old.values() for each in one.sources} | {id_ for ids in chunks.values() for id_ in ids}
        visible = self._catalog.chunks.visible(tenant, wanted)
        rows = [_row(draft, central[draft.id], _texts(chunks[draft.id], visible)) for draft in drafts]
        if self._llm is not None:
            self._have_written(tenant, self._llm, drafts, rows, old, visible, chunks, report)
        self._embed(tenant, rows, old)
        return rows

    def _embed(self, tenant: TenantId, rows: Sequence[dict[str, Any]], old: Mapping[CommunityId, Community]) -> None:
        """Four fifths of what a community costs without an LLM: where its words are those of before, its vector stays."""
        texts = {row["id"]: _embedded(row["title"], [name for _, name, _ in row["entities"]], row["summary"]) for row in rows}
        said = {id_: _embedded(each.title, [entity.name for entity in each.entities], each.summary) for id_, each in old.items()}
        vectors = self._catalog.communities.vectors_of(tenant, [id_ for id_, text in said.items() if text == texts[id_]])
        fresh = [id_ for id_ in texts if id_ not in vectors]
        for id_, vector in zip(fresh, self._embedder.embed_documents([texts[id_] for id_ in fresh]), strict=True):
            vectors[id_] = np.ascontiguousarray(vector, dtype=np.float32).tobytes()
        for row in rows:
            row["vector"] = vectors[row["id"]]

    def _central(self, tenant: TenantId, drafts: Sequence[_Draft]) -> dict[CommunityId, tuple[CentralEntity, ...]]:
        everyone = list({entity: None for draft in drafts for entity in draft.top})
        links = self._network.among(tenant, everyone)
        weights = {draft.id: dict(describing.central(draft.top, links)) for draft in drafts}
        known = {one.id: one for one in self._graph.get(tenant, list({id_: None for found in weights.values() for id_ in found}))}
        return {id_: describing.named([known[one] for one in found if one in known], found) for id_, found in weights.items()}

    def _chunks(self, tenant: TenantId, central: Sequence[CentralEntity]) -> list[ChunkId]:
        return [found.chunk_id for found in self._graph.chunks(tenant, {each.id: each.weight for each in central}, limit=CHUNKS)]

    def _have_written(
        self,
        tenant: TenantId,
        llm: LLM,
        drafts: Sequence[_Draft],
        rows: Sequence[dict[str, Any]],
        old: Mapping[CommunityId, Community],
        visible: Mapping[ChunkId, VisibleChunk],
        chunks: Mapping[CommunityId, Sequence[ChunkId]],
        report: Report,
    ) -> None:
        """Fill in what the LLM wrote before, where it still holds, and have the rest written as far as calls last."""
        asked: list[tuple[dict[str, Any], Asked]] = []
        for draft, row in zip(drafts, rows, strict=True):
            known = old.get(draft.id)
            if known is not None and self._holds(known, draft, visible):
                row.update(title=known.title, summary=known.summary, made_by=known.made_by, drift=draft.drift)
                row["sources"] = [list(quote) for quote in known.sources]
                continue
            texts = _texts(chunks[draft.id], visible)
            if draft.size >= LLM_LEAST and texts and report.calls + len(asked) < LLM_CALLS:
                asked.append((row, Asked([CentralEntity(*each) for each in row["entities"]], texts)))
        if not asked or not self._can_pay(tenant, len(asked)):
            return
        report.calls += len(asked)
        answers, spent = summarising.write_all(llm, [one for _, one in asked], at_once=self._llm_concurrency)
        for (row, one), written in zip(asked, answers, strict=True):
            if written is not None:
                row.update(title=written.title, summary=written.summary, made_by=self._made_by)
                row["sources"] = row["sources"] or [[one.texts[0].quote_id, 0, len(one.texts[0].text)]]
        report.spent = report.spent.plus(spent)
        if self._budget is not None:
            self._budget.spend(tenant, spent)

    def _can_pay(self, tenant: TenantId, calls: int) -> bool:
        """Whether the budget has room for so many more; without it communities keep their own words, and the next update asks again."""
        expected = Spent(calls, calls * summarising.PROMPT_TOKENS, calls * summarising.MAX_TOKENS)
        return self._budget is None or self._budget.allows(self._budget.account(tenant), expected)

    def _holds(self, known: Community, draft: _Draft, visible: Mapping[ChunkId, VisibleChunk]) -> bool:
        """Whether what the LLM wrote can stay: of this model, on passages that are there, about nearly the same members."""
        is_near = known.made_by == self._made_by and draft.drift <= LLM_DRIFT * draft.size
        return is_near and all(quote.chunk_id in visible for quote in known.sources)


def _partition(placed: Iterable[Member], kept: Mapping[CommunityId, Kept]) -> Partition | None:
    """What was found before; None where a kill left it in pieces."""
    found = Partition({member.entity: member.community for member in placed})
    alive = set(found.finest.values()) - {None}
    while alive:
        if any(id_ not in kept for id_ in alive):
            return None
        places = {id_: Place(kept[id_].community.level, kept[id_].community.parent_id) for id_ in alive if id_ is not None}
        found.tree |= places
        alive = {place.parent for place in places.values()} - found.tree.keys() - {None}
    return found


def _touched(before: Partition, found: Partition, kept: Mapping[CommunityId, Kept], recounted: Collection[EntityId]) -> set[CommunityId]:
    """Communities that won or lost a member, stand elsewhere in the tree, or whose members are mentioned more or less often."""
    touched = {id_ for id_, place in found.tree.items() if id_ not in kept or place != before.tree.get(id_)}
    for entity, finest in found.finest.items():
        if entity not in before.finest or before.finest[entity] != finest:
            touched.update(found.line(finest))
            touched.update(before.line(before.finest.get(entity)))
    for entity in recounted:
        touched.update(found.line(found.finest[entity]))
    for entity in before.finest.keys() - found.finest.keys():
        touched.update(before.line(before.finest[entity]))
    return touched & found.tree.keys()


def _drafts(
    found: Partition,
    before: Partition,
    members: Mapping[CommunityId, Sequence[EntityId]],
    mentions: Mapping[EntityId, int],
    kept: Mapping[CommunityId, Kept],
    touched: Collection[CommunityId],
) -> list[_Draft]:
    """Those mentioned most first: they are what a reader looks at, and what LLM calls are for."""
    drafts: list[_Draft] = []
    old = before.members() if touched else {}
    for id_ in touched:
        own = members[id_]
        drift = kept[id_].drift + len(set(own) ^ set(old.get(id_, ()))) if id_ in kept else 0
        top = heapq.nsmallest(LOOKED_AT, own, key=lambda entity: (-mentions.get(entity, 0), entity))
        total = sum(mentions.get(entity, 0) for entity in own)
        counts = {entity: mentions.get(entity, 0) for entity in top}
        drafts.append(_Draft(id_, found.tree[id_], len(own), total, drift, counts))
    return sorted(drafts, key=lambda draft: (-draft.mentions, draft.id))


def _row(draft: _Draft, central: Sequence[CentralEntity], texts: Sequence[Text]) -> dict[str, Any]:
    said = describing.summary(central, texts)
    quotes = [one.quote for one in said] or [Quote(each.quote_id, 0, len(each.text)) for each in texts[:1]]  # type: ignore[arg-type]
    return {
        "id": draft.id,
        "level": draft.place.level,
        "parent_id": draft.place.parent,
        "size": draft.size,
        "mentions": draft.mentions,
        "title": describing.title(central),
        "summary": " ".join(one.text for one in said),
        "entities": [list(each) for each in central],
        "sources": [list(quote) for quote in quotes],
        "made_by": "",
        "drift": 0,
    }


def _embedded(title: str, names: Iterable[str], summary: str) -> str:
    return f"{title}. {', '.join(names)}. {summary[:EMBEDDED_CHARS]}"


def _texts(ids: Iterable[ChunkId], visible: Mapping[ChunkId, VisibleChunk]) -> list[Text]:
    return [Text(id_, visible[id_].chunk.source_id, visible[id_].chunk.text) for id_ in ids if id_ in visible]
