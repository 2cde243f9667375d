"""Search: asks the indexes, fuses their lists and shows what a reader may see."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from localmind.embedding.port import Embedder
from localmind.errors import InvalidInput, StoreUnavailable, Unavailable
from localmind.graph.port import Graph
from localmind.model import Chunk, ChunkId, Filter, Hit, Mode, Ranks, ScoredChunk, SearchResult, SourceId, TenantId
from localmind.retrieval.dense import DenseSearch
from localmind.retrieval.fusion import fuse
from localmind.retrieval.graph import GraphSearch
from localmind.retrieval.themes import Theme, Themes, hits_of
from localmind.text.port import TextIndex
from localmind.vectors.port import Vectors

MAX_QUERY_CHARS = 10_000
MAX_LIMIT = 100

LEAST_DEPTH = 50
DEPTH_PER_HIT = 3
DEEPER = 8
"""Chunks that are being ingested stand in the lists but can't be shown. Where they crowd out the rest, lists are asked this much deeper."""


class Shown(Protocol):
    """A chunk with what its source adds."""

    @property
    def chunk(self) -> Chunk: ...

    @property
    def title(self) -> str: ...

    @property
    def uri(self) -> str | None: ...


class ShowsChunks(Protocol):
    def visible(self, tenant: TenantId, ids: Collection[ChunkId]) -> Mapping[ChunkId, Shown]: ...


class KnowsSources(Protocol):
    def ids_with(self, tenant: TenantId, source_ids: Collection[SourceId] | None, tags: Collection[str] | None) -> frozenset[SourceId]: ...


class Catalog(Protocol):
    """What search needs of the catalog."""

    @property
    def chunks(self) -> ShowsChunks: ...

    @property
    def sources(self) -> KnowsSources: ...


class _Asked(NamedTuple):
    """What the indexes answered: lists by the name of their mode, and the names of those that did not answer."""

    lists: dict[str, list[ScoredChunk]]
    degraded: tuple[str, ...]


_List = Callable[[TenantId, str, int, Filter | None], list[ScoredChunk]]


class Search:
    """Thread-safe."""

    def __init__(
        self, catalog: Catalog, embedder: Embedder, vectors: Vectors, text: TextIndex, graph: Graph, themes: Themes | None = None
    ) -> None:
        """themes: answers Mode.GLOBAL; without it that mode finds nothing."""
        dense = DenseSearch(embedder, vectors)
        graphs = GraphSearch(graph)
        self._catalog = catalog
        self._themes = themes
        self._lists: dict[str, _List] = {
            "vector": lambda tenant, query, limit, where: dense.search(tenant, query, limit=limit, where=where),
            "text": lambda tenant, query, limit, where: text.search(tenant, query, limit=limit, where=where),
            "graph": lambda tenant, query, limit, where: graphs.search(tenant, query, limit=limit, where=where),
        }
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="search")

    def search(
        self,
        tenant: TenantId,
        query: str,
        *,
        mode: Mode = Mode.HYBRID,
        limit: int = 10,
        source_ids: Collection[SourceId] | None = None,
        tags: Collection[str] | None = None,
    ) -> SearchResult:
        """The best `limit` chunks, each once, of the tenant's sources that are among source_ids and have one of the tags.

        Score: of the mode's own list, or the sum of reciprocal ranks; ranks: for the lists that were asked. An index that
        does not answer is left out and named in `degraded`. Raises InvalidInput; StoreUnavailable where none answers.
        """
        begun = time.perf_counter()
        query = query.encode("utf-8", "ignore").decode()  # half a surrogate pair stands in no text
        _check(query, limit)
        where = self._filter(tenant, source_ids, tags)
        if where is not None and not where.source_ids:
            return SearchResult((), _milliseconds_since(begun))
        if mode is Mode.GLOBAL:
            themes = [] if self._themes is None else self._themes.find(tenant, query, where=where)
            return SearchResult(hits_of(themes, limit), _milliseconds_since(begun))
        names = tuple(self._lists) if mode is Mode.HYBRID else (mode.value,)
        depth = max(LEAST_DEPTH, DEPTH_PER_HIT * limit)
        asked = self._ask(names, tenant, query, depth, where)
        hits = self._show(tenant, asked.lists, limit)
        if len(hits) < limit and any(len(found) == depth for found in asked.lists.values()):
            asked = self._ask(names, tenant, query, DEEPER * depth, where)
            hits = self._show(tenant, asked.lists, limit)
        return SearchResult(hits, _milliseconds_since(begun), asked.degraded)

    def themes(
        self,
        tenant: TenantId,
        query: str,
        *,
        source_ids: Collection[SourceId] | None = None,
        tags: Collection[str] | None = None,
    ) -> list[Theme]:
        """What Mode.GLOBAL finds, theme by theme. Raises InvalidInput, StoreUnavailable."""
        _check(query, MAX_LIMIT)
        where = self._filter(tenant, source_ids, tags)
        if self._themes is None or (where is not None and not where.source_ids):
            return []
        return self._themes.find(tenant, query, where=where)

    def _filter(self, tenant: TenantId, source_ids: Collection[SourceId] | None, tags: Collection[str] | None) -> Filter | None:
        if source_ids is None and tags is None:
            return None
        return Filter(self._catalog.sources.ids_with(tenant, source_ids, tags))

    def _ask(self, names: Sequence[str], tenant: TenantId, query: str, depth: int, where: Filter | None) -> _Asked:
        """All lists at once: the model and the vector index work outside Python's lock, while SQL is read in this thread."""
        running: dict[str, Future[list[ScoredChunk]]] = {}
        if len(names) > 1:
            running = {name: self._threads.submit(self._lists[name], tenant, query, depth, where) for name in names[:1]}
        lists: dict[str, list[ScoredChunk]] = {}
        refused: dict[str, Unavailable] = {}
        for name in sorted(names, key=running.__contains__):
            try:
                future = running.get(name)
                lists[name] = self._lists[name](tenant, query, depth, where) if future is None else future.result()
            except Unavailable as error:
                refused[name] = error
        if not lists:
            first = next(iter(refused.values()))
            raise StoreUnavailable(f"Search can't be answered now: {first.message}", hint=first.hint, services=list(refused)) from first
        return _Asked({name: lists[name] for name in names if name in lists}, tuple(name for name in names if name in refused))

    def _show(self, tenant: TenantId, lists: Mapping[str, Sequence[ScoredChunk]], limit: int) -> tuple[Hit, ...]:
        """The first `limit` chunks that can be shown. One statement, and more only where many can't."""
        rankings = {name: [scored.chunk_id for scored in found] for name, found in lists.items()}
        ranked = list(next(iter(lists.values()))) if len(lists) == 1 else fuse(rankings)
        ranks = {name: {chunk_id: rank for rank, chunk_id in enumerate(ranking, start=1)} for name, ranking in rankings.items()}
        hits: list[Hit] = []
        at = 0
        while at < len(ranked) and len(hits) < limit:
            batch = ranked[at : at + 2 * limit]
            at += len(batch)
            shown = self._catalog.chunks.visible(tenant, [scored.chunk_id for scored in batch])
            hits += [
                _hit(shown[scored.chunk_id], scored, Ranks(**{name: places.get(scored.chunk_id) for name, places in ranks.items()}))
                for scored in batch
                if scored.chunk_id in shown
            ]
        return tuple(hits[:limit])


def _check(query: str, limit: int) -> None:
    if not query.strip():
        raise InvalidInput("The query is empty.", hint="Say in a few words what you look for.")
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidInput(
            f"The query has {len(query):,} characters; at most {MAX_QUERY_CHARS:,} are taken.", hint="Ask with the words that matter."
        )
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(
            f"limit is {limit}; it must be from 1 to {MAX_LIMIT}.", hint=f"Leave it out for 10, or ask for up to {MAX_LIMIT}."
        )


def _hit(shown: Shown, scored: ScoredChunk, ranks: Ranks) -> Hit:
    chunk = shown.chunk
    return Hit(
        chunk_id=chunk.id,
        source_id=chunk.source_id,
        title=shown.title,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        score=scored.score,
        ranks=ranks,
        page=chunk.page,
        breaks=chunk.breaks,
        heading=chunk.heading,
        uri=shown.uri,
    )


def _milliseconds_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
