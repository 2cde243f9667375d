"""Questions about the whole: communities that answer them, with the passages that they stand on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from localmind.communities.describing import Text, summary
from localmind.embedding.port import Embedder
from localmind.graph.port import Graph
from localmind.model import ChunkId, Community, CommunityId, Filter, Hit, ListPage, TenantId
from localmind.retrieval.showing import Shown, ShowsChunks, hit_of
from localmind.retrieval.wholes import is_general

if TYPE_CHECKING:
    from numpy.typing import NDArray

TENANTS = 16
"""Whose vectors are kept. 1,000 communities take 1.5 MB."""

MOST_THEMES = 8
LEAST_SIMILARITY = 0.15
"""A theme that is further from the question is no answer to it."""

CHUNKS = 3
"""Of a theme, where a filter leaves none of its own."""


class Theme(NamedTuple):
    """A community that answers. score: likeness to the question; None: it stands here for its size.

    statements: the sentences it stands on: a hit, and where in its text; in order, one at least.
    """

    community: Community
    score: float | None
    statements: Sequence[Statement]


class Statement(NamedTuple):
    hit: Hit
    start: int
    end: int


class _Vectored(Protocol):
    @property
    def id(self) -> CommunityId: ...
    @property
    def parent_id(self) -> CommunityId | None: ...
    @property
    def vector(self) -> bytes: ...


class KnowsCommunities(Protocol):
    def version(self, tenant: TenantId) -> int: ...
    def vectors(self, tenant: TenantId) -> Sequence[_Vectored]: ...
    def some(self, tenant: TenantId, ids: Sequence[CommunityId]) -> list[Community]: ...
    def page(self, tenant: TenantId, *, level: int | None, limit: int, cursor: str | None) -> ListPage[Community]: ...


class _Kept(NamedTuple):
    version: int
    ids: Sequence[CommunityId]
    parents: Mapping[CommunityId, CommunityId | None]
    vectors: NDArray[np.float32]


class Themes:
    """Thread-safe."""

    def __init__(self, communities: KnowsCommunities, chunks: ShowsChunks, graph: Graph, embedder: Embedder) -> None:
        self._communities, self._chunks, self._graph, self._embedder = communities, chunks, graph, embedder
        self._kept: OrderedDict[TenantId, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, tenant: TenantId, query: str, *, limit: int = MOST_THEMES, where: Filter | None = None) -> list[Theme]:
        """Of a general question, and where none is close, the largest; else those closest, of whatever level, none within another.

        Only what can be shown now: a theme none of whose passages can is left out. Raises what embedder and catalog raise.
        """
        wanted = 3 * limit  # some may turn out to be gone, or to lie outside the filter
        scores = {} if is_general(query) else self._closest(tenant, query, limit=wanted)
        close = self._shown(tenant, [(each, scores[each.id]) for each in self._communities.some(tenant, list(scores))], where)
        if close:
            return close[:limit]
        largest = self._communities.page(tenant, level=0, limit=wanted, cursor=None).items
        return self._shown(tenant, [(each, None) for each in largest], where)[:limit]

    def _closest(self, tenant: TenantId, query: str, *, limit: int) -> dict[CommunityId, float]:
        kept = self._vectors(tenant)
        if not len(kept.ids):
            return {}
        similar = kept.vectors @ self._embedder.embed_query(query)
        chosen: dict[CommunityId, float] = {}
        for place in np.argsort(-similar, kind="stable").tolist():
            if len(chosen) == limit or similar[place] < LEAST_SIMILARITY:
                break
            own = kept.ids[place]
            if not any(_lies_in(own, other, kept.parents) or _lies_in(other, own, kept.parents) for other in chosen):
                chosen[own] = float(similar[place])
        return chosen

    def _vectors(self, tenant: TenantId) -> _Kept:
        version = self._communities.version(tenant)
        with self._lock:
            kept = self._kept.get(tenant)
            if kept is not None and kept.version == version:
                self._kept.move_to_end(tenant)
                return kept
        rows = [row for row in self._communities.vectors(tenant) if len(row.vector) == 4 * self._embedder.dim]
        vectors = np.frombuffer(b"".join(row.vector for row in rows), np.float32).reshape(-1, self._embedder.dim)
        kept = _Kept(version, [row.id for row in rows], {row.id: row.parent_id for row in rows}, vectors)
        with self._lock:
            self._kept[tenant] = kept
            if len(self._kept) > TENANTS:
                self._kept.popitem(last=False)
        return kept

    def _shown(self, tenant: TenantId, ranked: Sequence[tuple[Community, float | None]], where: Filter | None) -> list[Theme]:
        visible = self._chunks.visible(tenant, {quote.chunk_id for community, _ in ranked for quote in community.sources})
        themes: list[Theme] = []
        for community, score in ranked:
            statements = [
                Statement(hit_of(visible[quote.chunk_id], score or 0.0), quote.start, quote.end)
                for quote in community.sources
                if quote.chunk_id in visible and _may_show(visible[quote.chunk_id], where)
            ]
            if where is not None and not statements:
                statements = self._within(tenant, community, score, where)
            if statements:
                themes.append(Theme(community, score, statements))
        return themes

    def _within(self, tenant: TenantId, community: Community, score: float | None, where: Filter) -> list[Statement]:
        """Passages of the theme in the sources asked for."""
        weights = {entity.id: entity.weight for entity in community.entities}
        ids = [found.chunk_id for found in self._graph.chunks(tenant, weights, limit=CHUNKS, where=where)]
        visible = self._chunks.visible(tenant, ids)
        texts = [Text(id_, visible[id_].chunk.source_id, visible[id_].chunk.text) for id_ in ids if id_ in visible]
        quotes = [said.quote for said in summary(community.entities, texts)]
        return [Statement(hit_of(visible[quote.chunk_id], score or 0.0), quote.start, quote.end) for quote in quotes]


def hits_of(themes: Sequence[Theme]) -> tuple[Hit, ...]:
    """The first passage of every theme, then the second of each, and so on; each chunk once."""
    most = max((len(theme.statements) for theme in themes), default=0)
    found: dict[ChunkId, Hit] = {}
    for turn in range(most):
        for theme in themes:
            if turn < len(theme.statements):
                found.setdefault(theme.statements[turn].hit.chunk_id, theme.statements[turn].hit)
    return tuple(found.values())


def _lies_in(one: CommunityId, other: CommunityId, parents: Mapping[CommunityId, CommunityId | None]) -> bool:
    at: CommunityId | None = one
    while at is not None and at != other:
        at = parents.get(at)
    return at is not None


def _may_show(shown: Shown, where: Filter | None) -> bool:
    return where is None or shown.chunk.source_id in where.source_ids
