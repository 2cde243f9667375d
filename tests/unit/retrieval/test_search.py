"""Search over the catalog's own engines and vectors in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.catalog.tables import source, source_tag
from localmind.errors import InvalidInput, LLMUnavailable, StoreUnavailable, Unavailable
from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.port import Passage
from localmind.graph.port import ChunkExtraction
from localmind.graph.sql import SqlGraph
from localmind.ids import stable_id
from localmind.model import Chunk, ChunkId, Filter, Mode, ScoredChunk, SourceId, TenantId
from localmind.retrieval.search import MAX_QUERY_CHARS, Search
from localmind.text.fts5 import Fts5Text
from localmind.text.port import TitledChunk

OF_LISTS = [mode for mode in Mode if mode is not Mode.GLOBAL]  # global: tests/unit/communities

ACME = TenantId("acme")
OTHER = TenantId("other")
DIM = 256


class WordEmbedder:
    """One direction a word: texts that share words are close."""

    model = "words"
    dim = DIM

    def __init__(self) -> None:
        self.queries = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), DIM), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, int(stable_id(word).encode().hex(), 16) % DIM] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        self.queries += 1
        return self.embed_documents([text])[0]


@dataclass
class MemoryVectors:
    """As much of the port as search needs, in its meaning."""

    rows: dict[tuple[TenantId, ChunkId], tuple[SourceId, NDArray[np.float32]]] = field(default_factory=dict)

    def search(self, tenant: TenantId, query: NDArray[np.float32], *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        found = [
            ScoredChunk(chunk_id, float(vector @ query))
            for (owner, chunk_id), (source_id, vector) in self.rows.items()
            if owner == tenant and (where is None or source_id in where.source_ids)
        ]
        return sorted(found, key=lambda hit: (-hit.score, hit.chunk_id))[:limit]


class Away:
    """A store that does not answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: object, **__: object) -> None:
            raise self._error

        return refuse


@dataclass
class ScriptedReranker:
    """Likes one word; keeps what it was asked."""

    word: str
    asked: list[tuple[str, Sequence[str]]] = field(default_factory=list)

    def open(self) -> None: ...

    def close(self) -> None: ...

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.asked.append((query, texts))
        return [float(self.word in text) for text in texts]


@dataclass
class Library:
    database: Database
    catalog: Catalog
    embedder: WordEmbedder
    vectors: MemoryVectors
    text: Fts5Text
    graph: SqlGraph

    def search(self, **others: Any) -> Search:
        parts: dict[str, Any] = {"embedder": self.embedder, "vectors": self.vectors, "text": self.text, "graph": self.graph} | others
        return Search(self.catalog, **parts)

    def add(
        self, title: str, *texts: str, tenant: TenantId = ACME, tags: Sequence[str] = (), version: int = 1, deleted: bool = False
    ) -> list[ChunkId]:
        """A source with a chunk a text. version 0: it is being ingested."""
        source_id = SourceId(stable_id(tenant, title))
        chunks = [Chunk(ChunkId(f"{source_id}{n}"), source_id, n, text, 0, len(text), page=n + 1) for n, text in enumerate(texts)]
        results = KeyphraseExtractor().extract([Passage(title, "", chunk.text) for chunk in chunks])
        for chunk, vector in zip(chunks, self.embedder.embed_documents(texts), strict=True):
            self.vectors.rows[tenant, chunk.id] = (source_id, vector)
        row = {"id": source_id, "tenant": tenant, "kind": "text", "title": title, "tags": list(tags), "uri": f"note:{title}"}
        with self.database.write() as connection:
            times = {"created_at": 0.0, "updated_at": 0.0, "deleted_at": 1.0 if deleted else None}
            connection.execute(sa.insert(source), [row | times | {"version": version, "latest": 1}])
            for tag in tags:
                connection.execute(sa.insert(source_tag), [{"tenant": tenant, "tag": tag, "source_id": source_id}])
            self.catalog.chunks.stage(tenant, [(chunk, 1) for chunk in chunks])
            self.text.write(tenant, [TitledChunk(title, chunk) for chunk in chunks])
            said = zip(chunks, results, strict=True)
            self.graph.write(tenant, [ChunkExtraction(source_id, chunk.id, result.extraction) for chunk, result in said])
        return [chunk.id for chunk in chunks]


@pytest.fixture
def library(catalog_url: str) -> Iterator[Library]:
    database = Database(catalog_url)
    yield Library(database, Catalog(database), WordEmbedder(), MemoryVectors(), Fts5Text(database), SqlGraph(database))
    database.close()


@pytest.fixture
def bridges(library: Library) -> Mapping[str, ChunkId]:
    """Two facts that share Isambard Brunel, and one about something else."""
    (first,) = library.add("Bridges", "The Royal Albert Bridge was designed by Isambard Brunel and opened in 1859.", tags=["iron"])
    (second,) = library.add(
        "People", "Isambard Brunel also built the Great Western Railway between London and Bristol.", tags=["iron", "men"]
    )
    (third,) = library.add("Kitchen", "Beat the eggs with sugar until the mixture is pale.")
    return {"bridge": first, "railway": second, "eggs": third}


def test_each_mode_asks_its_own_list_and_says_the_place_in_it(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    for mode, name in ((Mode.VECTOR, "vector"), (Mode.TEXT, "text"), (Mode.GRAPH, "graph")):
        hit = library.search().search(ACME, "Royal Albert Bridge", mode=mode).hits[0]
        assert hit.chunk_id == bridges["bridge"]
        assert {key: getattr(hit.ranks, key) for key in ("vector", "text", "graph")} == {"vector": None, "text": None, "graph": None} | {
            name: 1
        }


def test_hybrid_gives_each_chunk_once_with_its_place_in_every_list(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    hits = library.search().search(ACME, "Royal Albert Bridge").hits
    assert len({hit.chunk_id for hit in hits}) == len(hits) == 3
    best = hits[0]
    assert (best.chunk_id, best.ranks.vector, best.ranks.text, best.ranks.graph) == (bridges["bridge"], 1, 1, 1)
    assert hits[-1].ranks.text is None
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_the_graph_reaches_chunks_that_share_no_word_with_the_query(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    found = [hit.chunk_id for hit in library.search().search(ACME, "Royal Albert Bridge", mode=Mode.GRAPH).hits]
    assert found == [bridges["bridge"], bridges["railway"]]


@pytest.mark.parametrize("mode", [Mode.GRAPH, Mode.HYBRID])
def test_a_hit_names_the_entities_that_led_to_it(library: Library, bridges: Mapping[str, ChunkId], mode: Mode) -> None:
    hits = {hit.chunk_id: hit for hit in library.search().search(ACME, "Royal Albert Bridge", mode=mode).hits}
    assert hits[bridges["bridge"]].because[0] == "Royal Albert Bridge"
    assert hits[bridges["railway"]].because == ("Isambard Brunel",)
    if mode is Mode.HYBRID:
        assert hits[bridges["eggs"]].because == ()


def test_modes_without_the_graph_give_no_entities(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    for mode in (Mode.VECTOR, Mode.TEXT):
        assert {hit.because for hit in library.search().search(ACME, "Royal Albert Bridge", mode=mode).hits} == {()}


def test_a_hit_says_where_it_stands(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    hit = library.search().search(ACME, "eggs").hits[0]
    assert (hit.chunk_id, hit.title, hit.uri, hit.page, hit.start, hit.end) == (
        bridges["eggs"],
        "Kitchen",
        "note:Kitchen",
        1,
        0,
        len(hit.text),
    )


@pytest.mark.parametrize("mode", OF_LISTS)
def test_filters_by_source_and_tag_hold_in_every_mode(library: Library, bridges: Mapping[str, ChunkId], mode: Mode) -> None:
    search = library.search()

    def found(**filters: Any) -> set[ChunkId]:
        return {hit.chunk_id for hit in search.search(ACME, "Isambard Brunel", mode=mode, **filters).hits}

    assert found() >= {bridges["bridge"], bridges["railway"]}
    assert found(tags=["men"]) == {bridges["railway"]}
    assert found(source_ids=[SourceId(stable_id(ACME, "Bridges"))]) == {bridges["bridge"]}
    assert found(source_ids=[SourceId(stable_id(ACME, "Bridges"))], tags=["men"]) == set()
    assert found(source_ids=[]) == found(tags=["no such tag"]) == set()


def test_where_a_filter_leaves_no_source_no_index_is_asked(library: Library) -> None:
    away = Away(AssertionError("asked"))
    assert library.search(embedder=away, text=away, graph=away).search(ACME, "bridge", tags=["no such tag"]).hits == ()


@pytest.mark.parametrize("mode", OF_LISTS)
def test_another_tenant_sees_nothing(library: Library, bridges: Mapping[str, ChunkId], mode: Mode) -> None:
    library.add("Theirs", "Another Isambard Brunel.", tenant=OTHER)
    search = library.search()
    assert {hit.title for hit in search.search(OTHER, "Isambard Brunel", mode=mode).hits} == {"Theirs"}
    assert search.search(OTHER, "Isambard Brunel", mode=mode, source_ids=[SourceId(stable_id(ACME, "Bridges"))]).hits == ()
    assert search.search(TenantId("nobody"), "Isambard Brunel", mode=mode).hits == ()


@pytest.mark.parametrize("mode", OF_LISTS)
def test_what_is_being_ingested_or_deleted_is_not_shown_and_crowds_nothing_out(library: Library, mode: Mode) -> None:
    library.add("Staged", *(f"Isambard Brunel number {n}" for n in range(120)), version=0)
    library.add("Deleted", "Isambard Brunel deleted", deleted=True)
    (shown,) = library.add("Shown", "Somewhere in a far longer text there is a word on Isambard Brunel, the engineer, beside many others.")
    assert [hit.chunk_id for hit in library.search().search(ACME, "Isambard Brunel number", mode=mode, limit=5).hits] == [shown]


def test_limit_is_kept(library: Library) -> None:
    library.add("Many", *(f"Isambard Brunel number {n}" for n in range(40)))
    assert len(library.search().search(ACME, "Isambard Brunel", limit=7).hits) == 7


@pytest.mark.parametrize("mode", OF_LISTS)
def test_the_same_text_is_shown_once_and_costs_no_place(library: Library, mode: Mode) -> None:
    text = "Isambard Brunel designed the bridge"
    copies = [library.add(f"Copy {n}", text if n % 2 else f" {text}!")[0] for n in range(90)]
    (other,) = library.add("Others", "Another bridge of Isambard Brunel is the one beside many others that nobody has counted until now.")
    search = library.search()
    first, second = [hit.chunk_id for hit in search.search(ACME, text, mode=mode, limit=2).hits]
    assert (first in copies, second) == (True, other)
    for n in (0, 89):
        (hit,) = search.search(ACME, text, mode=mode, source_ids=[SourceId(stable_id(ACME, f"Copy {n}"))]).hits
        assert hit.chunk_id == copies[n]


@pytest.mark.parametrize("mode", OF_LISTS)
def test_one_source_does_not_fill_all_places_where_another_is_as_good(library: Library, mode: Mode) -> None:
    texts = [f"Isambard Brunel and bridge number {n}" for n in range(12)]
    long = [*library.add("Long", *texts[:11])]
    (other,) = library.add("Other", texts[11])
    search = library.search()
    found = [hit.chunk_id for hit in search.search(ACME, "Isambard Brunel", mode=mode, limit=6).hits]
    assert other in found[:5]
    alone = [
        hit.chunk_id
        for hit in search.search(ACME, "Isambard Brunel", mode=mode, limit=6, source_ids=[SourceId(stable_id(ACME, "Long"))]).hits
    ]
    assert len(alone) == 6 and set(alone) <= set(long)


def test_neighbours_say_where_they_stand(library: Library) -> None:
    first, second, third = library.add("Letters", "Dear Isambard,", "the bridge stands.", "Yours, Ada")
    found = library.search().neighbours(ACME, [first, second])
    assert {of: [hit.chunk_id for hit in hits] for of, hits in found.items()} == {first: [second], second: [first, third]}
    assert (found[first][0].text, found[first][0].title, found[first][0].page) == ("the bridge stands.", "Letters", 2)
    assert library.search().neighbours(OTHER, [first, second]) == {}


@pytest.mark.parametrize("mode", OF_LISTS)
def test_a_reranker_reads_more_than_is_shown_once_and_puts_it_in_order(library: Library, mode: Mode) -> None:
    library.add("Many", *(f"Isambard Brunel number {n}" for n in range(20)), "Isambard Brunel and his long and tedious life, chosen")
    reranker = ScriptedReranker("chosen")
    search = library.search(reranker=reranker, rerank_depth=30)
    hits = search.search(ACME, "Isambard Brunel", mode=mode, limit=3).hits
    assert "chosen" in hits[0].text
    assert [hit.score for hit in hits] == [1, 0, 0]
    ((query, texts),) = reranker.asked
    assert (query, len(texts)) == ("Isambard Brunel", 21)


def test_a_reranker_reads_all_that_is_asked_for_and_no_more_than_its_depth_otherwise(library: Library) -> None:
    library.add("Many", *(f"Isambard Brunel number {n}" for n in range(20)))
    reranker = ScriptedReranker("chosen")
    search = library.search(reranker=reranker, rerank_depth=5)
    assert [len(search.search(ACME, "Isambard Brunel", limit=limit).hits) for limit in (3, 12)] == [3, 12]
    assert [len(texts) for _, texts in reranker.asked] == [5, 12]


def test_a_reranker_that_is_away_is_named_and_the_order_stays(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    away = library.search(reranker=Away(Unavailable("out of memory"))).search(ACME, "Royal Albert Bridge", limit=2)
    assert away.hits == library.search().search(ACME, "Royal Albert Bridge", limit=2).hits
    assert away.degraded == ("reranker",)


@pytest.mark.parametrize("name", ["vectors", "text", "graph"])
def test_a_store_that_is_away_is_named_and_the_others_answer(library: Library, bridges: Mapping[str, ChunkId], name: str) -> None:
    result = library.search(**{name: Away(StoreUnavailable("away"))}).search(ACME, "Royal Albert Bridge")
    assert result.hits[0].chunk_id == bridges["bridge"]
    assert result.degraded == ("vector" if name == "vectors" else name,)


def test_an_embedder_that_is_away_is_as_good_as_no_vectors(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    result = library.search(embedder=Away(LLMUnavailable("away"))).search(ACME, "Royal Albert Bridge")
    assert (result.hits[0].chunk_id, result.degraded) == (bridges["bridge"], ("vector",))


def test_the_graph_answers_without_vectors(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    result = library.search(vectors=Away(StoreUnavailable("away"))).search(ACME, "Royal Albert Bridge", mode=Mode.GRAPH)
    assert [hit.chunk_id for hit in result.hits] == [bridges["bridge"], bridges["railway"]]
    assert result.degraded == ("vector",)


def test_where_no_store_answers_the_error_says_so(library: Library) -> None:
    away = Away(StoreUnavailable("The index is away.", hint="Start it."))
    with pytest.raises(StoreUnavailable, match=r"The index is away\. Start it\.") as caught:
        library.search(vectors=away, text=away, graph=away).search(ACME, "bridge")
    assert caught.value.data["services"] == ["vector", "text", "graph"]
    with pytest.raises(StoreUnavailable):
        library.search(graph=away).search(ACME, "bridge", mode=Mode.GRAPH)
    with pytest.raises(StoreUnavailable):
        library.search(text=away).search(ACME, "bridge", mode=Mode.TEXT)


@pytest.mark.parametrize(
    ("query", "limit"), [("", 10), (" \n", 10), ("\ud800", 10), ("x" * (MAX_QUERY_CHARS + 1), 10), ("bridge", 0), ("bridge", 101)]
)
def test_bad_input_is_refused_with_a_way_out(library: Library, query: str, limit: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        library.search().search(ACME, query, limit=limit)
    assert caught.value.hint


def test_a_query_is_embedded_once(library: Library, bridges: Mapping[str, ChunkId]) -> None:
    search = library.search()
    for mode in (Mode.HYBRID, Mode.VECTOR, Mode.HYBRID):
        search.search(ACME, "Royal Albert Bridge", mode=mode)
    assert library.embedder.queries == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip()))
def test_any_text_is_a_query(library: Library, query: str) -> None:
    assert library.search().search(ACME, query).hits == ()
