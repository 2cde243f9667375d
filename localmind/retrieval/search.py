"""Search: asks the indexes, lets their lists meet in a walk over the graph and shows what a reader may see."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from localmind.embedding.port import Embedder
from localmind.errors import InvalidInput, StoreUnavailable, Unavailable
from localmind.graph.port import Graph
from localmind.model import ChunkId, Entity, Filter, Hit, Mode, Ranks, ScoredChunk, SearchResult, SourceId, TenantId
from localmind.operations import tracing
from localmind.retrieval.dense import DenseSearch
from localmind.retrieval.diversity import diverse
from localmind.retrieval.duplicates import distinct
from localmind.retrieval.fusion import fuse
from localmind.retrieval.graph import Found, GraphSearch
from localmind.retrieval.near import near
from localmind.retrieval.rerank import Reranker, reranked
from localmind.retrieval.showing import Shown, ShowsChunks, hit_of
from localmind.retrieval.themes import Theme, Themes, hits_of
from localmind.text.port import TextIndex
from localmind.vectors.port import Vectors

T = TypeVar("T")

MAX_QUERY_CHARS = 10_000
MAX_LIMIT = 100

LEAST_DEPTH = 50
DEPTH_PER_HIT = 3
DEEPER = 8
"""Chunks that are being ingested stand in the lists but can't be shown. Where they crowd out the rest, lists are asked this much deeper."""

DIVERSE_AMONG = 2
"""Times the limit: the hits among which one of another source may be nearly as good as those of a source that fills the first places."""


class KnowsSources(Protocol):
    def ids_with(self, tenant: TenantId, source_ids: Collection[SourceId] | None, tags: Collection[str] | None) -> frozenset[SourceId]: ...


class Catalog(Protocol):
    """What search needs of the catalog."""

    @property
    def chunks(self) -> ShowsChunks: ...

    @property
    def sources(self) -> KnowsSources: ...


class _Asked(NamedTuple):
    """What the indexes answered.

    ranked: what is shown, the best first. places: a chunk's place in the list of each index that was asked for, by name.
    because: names of entities, for chunks that the graph led to. degraded: the indexes that did not answer. full: there may be more.
    """

    ranked: Sequence[ScoredChunk]
    places: Mapping[str, Mapping[ChunkId, int]]
    because: Mapping[ChunkId, tuple[str, ...]]
    degraded: tuple[str, ...]
    full: bool


class _Question(NamedTuple):
    """times: how much more than usual is read."""

    tenant: TenantId
    text: str
    limit: int
    where: Filter | None
    times: int = 1

    @property
    def depth(self) -> int:
        return max(LEAST_DEPTH, DEPTH_PER_HIT * self.limit) * self.times


INDEXES = ("vector", "text", "graph")

_List = Callable[[_Question], list[ScoredChunk]]

_LISTS = {Mode.VECTOR: ("vector",), Mode.TEXT: ("text",), Mode.GRAPH: ("vector",), Mode.HYBRID: ("vector", "text")}
"""The lists that a mode asks for; the walks of the last two begin at them."""


class Search:
    """Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        embedder: Embedder,
        vectors: Vectors,
        text: TextIndex,
        graph: Graph,
        themes: Themes | None = None,
        *,
        reranker: Reranker | None = None,
        rerank_depth: int = 30,
    ) -> None:
        """themes: answers Mode.GLOBAL; without it that mode finds nothing. rerank_depth: the hits that a reranker reads, at least."""
        dense = DenseSearch(embedder, vectors)
        self._graph = GraphSearch(graph)
        self._catalog = catalog
        self._themes = themes
        self._reranker = reranker
        self._rerank_depth = rerank_depth
        self._lists: dict[str, _List] = {
            "vector": lambda asked: dense.search(asked.tenant, asked.text, limit=asked.depth, where=asked.where),
            "text": lambda asked: text.search(asked.tenant, asked.text, limit=asked.depth, where=asked.where),
        }
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="search")

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
        """The best `limit` chunks, each text once, of the tenant's sources that are among source_ids and have one of the tags.

        Where one source fills the first places, a hit of another that scores nearly as much goes before its later ones.

        Score: of the mode's own list; of a walk, its share of visits; where the graph is away, the sum of reciprocal ranks;
        of the reranker where there is one, which reads what the lists found, not themes. ranks: for the lists that were asked.
        An index or reranker that does not answer is left out and named in `degraded`. Raises InvalidInput; StoreUnavailable where
        no index answers, or in mode graph the graph does not.
        """
        begun = time.perf_counter()
        query = query.encode("utf-8", "ignore").decode()  # half a surrogate pair stands in no text
        _check(query, limit)
        where = self._filter(tenant, source_ids, tags)
        if where is not None and not where.source_ids:
            return SearchResult((), _milliseconds_since(begun))
        if mode is Mode.GLOBAL:
            themes = [] if self._themes is None else self._themes.find(tenant, query, where=where)
            return SearchResult(tuple(islice(distinct(hits_of(themes)), limit)), _milliseconds_since(begun))
        question = _Question(tenant, query, limit, where)
        asked = self._ask(question, mode)
        hits = self._best(asked, question)
        if len(hits) < limit and asked.full:
            asked = self._ask(question._replace(times=DEEPER), mode)
            hits = self._best(asked, question)
        degraded = asked.degraded
        if self._reranker is not None:
            refused: dict[str, Unavailable] = {}
            hits = list(diverse(self._try("reranker", partial(reranked, query, hits, self._reranker), refused) or hits))
            degraded += tuple(refused)
        return SearchResult(tuple(hits[:limit]), _milliseconds_since(begun), degraded)

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

    def neighbours(self, tenant: TenantId, ids: Collection[ChunkId]) -> dict[ChunkId, list[Hit]]:
        """What stands right before and after each of these chunks in its source, in reading order; score 0: no index found it."""
        found = self._catalog.chunks.neighbours(tenant, ids)
        return {id_: [hit_of(shown, 0.0) for shown in beside] for id_, beside in found.items()}

    def _filter(self, tenant: TenantId, source_ids: Collection[SourceId] | None, tags: Collection[str] | None) -> Filter | None:
        if source_ids is None and tags is None:
            return None
        return Filter(self._catalog.sources.ids_with(tenant, source_ids, tags))

    def _ask(self, question: _Question, mode: Mode) -> _Asked:
        """The indexes are asked at once: the model and servers work outside Python's lock."""
        refused: dict[str, Unavailable] = {}
        walks = mode in (Mode.GRAPH, Mode.HYBRID)
        running = {name: self._threads.submit(tracing.carried(self._lists[name]), question) for name in _LISTS[mode]}
        named = self._try("graph", partial(self._graph.link, question.tenant, question.text), refused) if walks else None
        lists = {name: self._try(name, answer.result, refused) for name, answer in running.items()}
        answered = {name: found for name, found in lists.items() if found is not None}
        walked = None
        if named is not None:
            walked = self._try("graph", partial(self._walk, question, named, answered), refused)
        if walked is None and (mode is Mode.GRAPH or not answered):
            raise _unavailable(refused)
        degraded = tuple(name for name in INDEXES if name in refused)
        full = any(len(found) == question.depth for found in answered.values())
        if walked is None:
            rankings = {name: [scored.chunk_id for scored in found] for name, found in answered.items()}
            ranked = next(iter(answered.values())) if len(answered) == 1 else fuse(rankings)
            return _Asked(ranked, {name: _places(ranking) for name, ranking in answered.items()}, {}, degraded, full)
        if mode is Mode.GRAPH:
            linked = {scored.chunk_id for scored in walked.linked}
            ranked = [scored for scored in walked.chunks if scored.chunk_id in linked]
            return _Asked(ranked, {"graph": _places(ranked)}, walked.because, degraded, full)
        places = {name: _places(found) for name, found in [*answered.items(), ("graph", walked.linked)]}
        return _Asked(walked.chunks, places, walked.because, degraded, full)

    def _walk(self, question: _Question, named: Mapping[str, Entity], lists: Mapping[str, Sequence[ScoredChunk]]) -> Found:
        return self._graph.walk(question.tenant, named, near(lists), where=question.where, times=question.times)

    @staticmethod
    def _try(name: str, ask: Callable[[], T], refused: dict[str, Unavailable]) -> T | None:
        try:
            return ask()
        except Unavailable as error:
            refused[name] = error
            return None

    def _best(self, asked: _Asked, question: _Question) -> list[Hit]:
        """Each text once: what is shown, or what a reranker reads."""
        if self._reranker is None:
            found = distinct(self._shown(question.tenant, asked, question.limit))
            return list(islice(diverse(islice(found, DIVERSE_AMONG * question.limit)), question.limit))
        wanted = max(question.limit, self._rerank_depth)
        return list(islice(distinct(self._shown(question.tenant, asked, wanted)), wanted))

    def _shown(self, tenant: TenantId, asked: _Asked, limit: int) -> Iterator[Hit]:
        """The chunks that can be shown. One statement for twice as many as are wanted, and more only where many can't be shown."""
        for at in range(0, len(asked.ranked), 2 * limit):
            batch = asked.ranked[at : at + 2 * limit]
            shown = self._catalog.chunks.visible(tenant, [scored.chunk_id for scored in batch])
            yield from (_hit(shown[scored.chunk_id], scored, asked) for scored in batch if scored.chunk_id in shown)


def _places(scored: Sequence[ScoredChunk]) -> dict[ChunkId, int]:
    return {hit.chunk_id: place for place, hit in enumerate(scored, start=1)}


def _unavailable(refused: Mapping[str, Unavailable]) -> StoreUnavailable:
    services = [name for name in INDEXES if name in refused]
    first = refused[services[0]]
    error = StoreUnavailable(f"Search can't be answered now: {first.message}", hint=first.hint, services=services)
    error.__cause__ = first
    return error


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


def _hit(shown: Shown, scored: ScoredChunk, asked: _Asked) -> Hit:
    ranks = Ranks(**{name: places.get(scored.chunk_id) for name, places in asked.places.items()})
    return hit_of(shown, scored.score, ranks=ranks, because=asked.because.get(scored.chunk_id, ()))


def _milliseconds_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
