"""What every adapter of the text port promises. A new adapter is a new parameter of `shelf`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given

from localmind.catalog.chunks import Chunks
from localmind.catalog.database import Database
from localmind.ids import random_id
from localmind.model import Chunk, ChunkId, Filter, SourceId, TenantId
from localmind.text.fts5 import Fts5Text
from localmind.text.neo4j import Neo4jText
from localmind.text.port import TextIndex, TitledChunk
from tests.hostile import hostile, some
from tests.neo4j_server import neo4j_driver  # noqa: F401 - a fixture

# Names of this run alone: on a server others run the same tests.
ANN, BOB = TenantId(f"ann-{random_id()}"), TenantId(f"bob-{random_id()}")


@dataclass
class Shelf:
    """An index with the catalog beside it, as the ingest sees both: one that is in it after the rows, in their transaction."""

    database: Database
    index: TextIndex

    def put(self, tenant: TenantId, texts: dict[str, str], *, source: str = "s1", title: str = "", heading: str = "") -> list[TitledChunk]:
        chunks = [Chunk(ChunkId(id), SourceId(source), n, text, 0, len(text), None, heading) for n, (id, text) in enumerate(texts.items())]
        titled = [TitledChunk(title, c) for c in chunks]
        with self.database.write():
            Chunks(self.database).stage(tenant, [(c, 1) for c in chunks])
            self.index.write(tenant, titled)
        return titled

    def remove(self, tenant: TenantId, ids: Sequence[str]) -> None:
        with self.database.write():
            self.index.delete(tenant, [ChunkId(id) for id in ids])
            Chunks(self.database).delete(tenant, [ChunkId(id) for id in ids])

    def found(self, tenant: TenantId, query: str, limit: int = 10, sources: Sequence[str] | None = None) -> list[str]:
        where = None if sources is None else Filter(frozenset(SourceId(source) for source in sources))
        return [hit.chunk_id for hit in self.index.search(tenant, query, limit=limit, where=where)]

    def indexed(self, tenant: TenantId) -> list[str]:
        return sorted(id for batch in self.index.keys(tenant) for id, _ in batch)


@pytest.fixture(params=["fts5", pytest.param("neo4j", marks=pytest.mark.stack)])
def shelf(request: pytest.FixtureRequest, catalog_url: str) -> Iterator[Shelf]:
    database = Database(catalog_url)
    index = Fts5Text(database) if request.param == "fts5" else Neo4jText(request.getfixturevalue("neo4j"))
    index.open()
    yield Shelf(database, index)
    index.clear(ANN)
    index.clear(BOB)
    index.close()
    database.close()


@pytest.fixture
def animals(shelf: Shelf) -> Shelf:
    shelf.put(ANN, {"fox": "the quick brown fox", "dog": "the lazy dog sleeps", "both": "the fox and the dog, and then the fox"})
    return shelf


def test_chunks_with_the_word_are_found_best_first(animals: Shelf) -> None:
    hits = animals.index.search(ANN, "fox", limit=10)
    assert {hit.chunk_id for hit in hits} == {"fox", "both"}
    assert hits[0].score >= hits[1].score > 0


def test_a_rare_word_weighs_more_than_a_frequent_one(shelf: Shelf) -> None:
    shelf.put(ANN, {f"c{n}": f"about gardening, part {n}" for n in range(20)} | {"x": "about zymurgy, a part"})
    assert shelf.found(ANN, "gardening zymurgy", limit=1) == ["x"]


def test_words_are_alternatives(animals: Shelf) -> None:
    assert set(animals.found(ANN, "fox dog")) == {"both", "fox", "dog"}
    assert animals.found(ANN, "fox dog")[0] == "both"
    assert animals.found(ANN, "lazy unicorn") == ["dog"]


def test_a_limit_cuts(animals: Shelf) -> None:
    assert len(animals.found(ANN, "fox dog", limit=2)) == 2
    assert animals.found(ANN, "fox", limit=0) == []


@pytest.mark.parametrize("limit", [1, 4, 50])
def test_ties_are_in_the_order_of_ids(shelf: Shelf, limit: int) -> None:
    names = [f"c{n:02}" for n in range(30)]
    shelf.put(ANN, dict.fromkeys(reversed(names), "equal words"))
    assert shelf.found(ANN, "equal", limit=limit) == names[:limit]


@pytest.mark.parametrize("query", ["", "   ", "?!", '"', "*", "-", "()", "…", "\x00", "\ud800"])
def test_a_query_without_a_word_gives_nothing(animals: Shelf, query: str) -> None:
    assert animals.found(ANN, query) == []


@pytest.mark.parametrize(
    "query",
    [
        'fox"', '"fox', "fox*", "fox AND", "AND fox", "NOT fox", "fox OR", "NEAR(fox", "text:fox", "text : fox", "{text} : fox", "^fox",
        "fox -", "-fox", "fox + quick", "'; DROP TABLE chunk; -- fox", "fox)", "(fox", "fox\x00", "\ud800 fox", "fox:%_?", "rank:fox",
    ],
)  # fmt: skip
def test_no_string_is_syntax(animals: Shelf, query: str) -> None:
    assert set(animals.found(ANN, query)) >= {"fox", "both"}


def test_a_word_that_is_an_operator_elsewhere_is_a_word(shelf: Shelf) -> None:
    shelf.put(ANN, {"gate": "a NEAR miss", "other": "far away"})
    assert shelf.found(ANN, "NEAR") == ["gate"]


def test_a_query_of_a_whole_page_works(animals: Shelf) -> None:
    assert set(animals.found(ANN, "fox " + "lorem ipsum dolor " * 5000)) == {"fox", "both"}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Call foo_bar before use.", "foo_bar"),
        ("Call foo_bar before use.", "foo"),
        ("Fixed in v2.3.5 at last.", "v2.3.5"),
        ("Error E1234 was raised.", "e1234"),
        ("It is written in C++ mostly.", "C++"),
        ("It is written in C# mostly.", "what is C#?"),
        ("She was running home.", "runs"),
        ("Ein Café in Ökonomien", "cafe okonomien"),
        ("Einstein developed it.", "Einstein's"),
        ("Einstein’s theory", "einstein"),
        ("an eﬃcient ﬁle system", "efficient"),
        ("ＦＵＬＬ width", "full"),
        ("In 1984 it happened.", "1984"),
        ("東京都に行きました", "東京"),
        ("東京都に行きました", "京都"),
        ("東京都", "都"),
        ("吾輩は猫である", "猫"),
        ("机器学习的应用", "机器学习"),
        ("ภาษาไทยง่ายมาก", "ไทย"),
        ("한국어 문서", "문서"),
        ("हिन्दी में किताब", "किताब"),
        ("Москва — столица", "москва"),
        ("see https://example.org/guide_2 there", "https://example.org/guide_2"),
    ],
)
def test_it_is_found(shelf: Shelf, text: str, query: str) -> None:
    shelf.put(ANN, {"it": text, "other": "nothing of the kind"})
    assert shelf.found(ANN, query)[:1] == ["it"]


@pytest.mark.parametrize(("text", "query"), [("Plain C is older.", "C++"), ("東京都", "京東"), ("version 2 and 35", "猫")])
def test_it_is_not_found(shelf: Shelf, text: str, query: str) -> None:
    shelf.put(ANN, {"it": text})
    assert shelf.found(ANN, query) == []


def test_an_identifier_comes_before_its_scattered_parts(shelf: Shelf) -> None:
    shelf.put(ANN, {"a": "version v2 has 5 parts and 3 more of 5 and 3", "b": "since v2.3.5 nothing changed in it at all"})
    assert shelf.found(ANN, "v2.3.5")[0] == "b"


def test_title_and_heading_are_searched_too(shelf: Shelf) -> None:
    shelf.put(ANN, {"a": "plain text"}, title="Manual of the zither", heading="Tuning")
    assert shelf.found(ANN, "zither") == ["a"]
    assert shelf.found(ANN, "tuning") == ["a"]


def test_a_title_says_more_than_a_mention(shelf: Shelf) -> None:
    shelf.put(ANN, {"mention": "zither and zither make music"}, source="s1", title="Instruments")
    shelf.put(ANN, {"subject": "an instrument with strings on it"}, source="s2", title="Zither")
    assert shelf.found(ANN, "zither") == ["subject", "mention"]


def test_another_tenant_sees_nothing(animals: Shelf) -> None:
    animals.put(BOB, {"bobs": "a fox of Bob's"}, source="s9")
    assert animals.found(BOB, "fox") == ["bobs"]
    assert "bobs" not in animals.found(ANN, "fox")
    assert animals.found(BOB, "dog") == []
    assert animals.found(BOB, "fox", sources=["s1"]) == []
    assert animals.indexed(BOB) == ["bobs"]


def test_another_tenants_calls_change_nothing(animals: Shelf) -> None:
    animals.put(BOB, {"bobs": "a fox of Bob's"})
    animals.index.delete(BOB, [ChunkId("fox")])
    animals.index.clear(BOB)
    assert animals.indexed(ANN) == ["both", "dog", "fox"]
    assert animals.indexed(BOB) == []
    assert set(animals.found(ANN, "fox")) == {"fox", "both"}


def test_an_unknown_tenant_has_nothing(animals: Shelf) -> None:
    assert animals.found(BOB, "fox") == []
    assert animals.indexed(BOB) == []
    animals.index.delete(BOB, [ChunkId("fox")])
    animals.index.clear(BOB)


def test_a_filter_restricts_to_its_sources(animals: Shelf) -> None:
    animals.put(ANN, {"other": "a fox elsewhere"}, source="s2")
    assert animals.found(ANN, "fox", sources=["s2"]) == ["other"]
    assert set(animals.found(ANN, "fox", sources=["s1", "nowhere"])) == {"fox", "both"}
    assert animals.found(ANN, "fox", sources=["nowhere"]) == []
    assert animals.found(ANN, "fox", sources=["s2') OR 1=1 --"]) == []


def test_an_empty_filter_matches_nothing(animals: Shelf) -> None:
    assert animals.found(ANN, "fox", sources=[]) == []


def test_a_filter_of_thousands_works(animals: Shelf) -> None:
    assert set(animals.found(ANN, "fox", sources=["s1", *(f"x{n}" for n in range(5000))])) == {"fox", "both"}


def test_writing_again_replaces(animals: Shelf) -> None:
    again = animals.put(ANN, {"new": "a hedgehog"}, title="Old title")
    with animals.database.write():
        animals.index.write(ANN, [TitledChunk("New title", again[0].chunk)])
        animals.index.write(ANN, [TitledChunk("New title", again[0].chunk)] * 2)
    assert animals.indexed(ANN) == ["both", "dog", "fox", "new"]
    assert animals.found(ANN, "new") == ["new"]
    assert animals.found(ANN, "old") == []


def test_a_deleted_chunk_is_gone_and_can_come_back(animals: Shelf) -> None:
    animals.remove(ANN, ["fox", "nowhere", "fox"])
    animals.remove(ANN, [])
    assert animals.found(ANN, "fox quick brown") == ["both"]
    assert animals.indexed(ANN) == ["both", "dog"]
    animals.put(ANN, {"fox": "the quick brown fox"})
    assert set(animals.found(ANN, "quick")) == {"fox"}


def test_deletes_leave_the_same_index_as_if_it_had_never_been(shelf: Shelf) -> None:
    shelf.put(ANN, {"a": "fox dog", "b": "fox"})
    before = shelf.index.search(ANN, "fox dog", limit=10)
    shelf.put(ANN, {f"x{n}": f"fox dog 東京都 number {n}" for n in range(50)}, title="Foxes’ ﬁles", heading="A › B")
    shelf.remove(ANN, [f"x{n}" for n in range(50)])
    after = shelf.index.search(ANN, "fox dog", limit=10)
    assert [hit.chunk_id for hit in after] == [hit.chunk_id for hit in before]
    if shelf.index.in_catalog:  # Lucene counts words of what is gone until it merges its files
        assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before])


def test_keys_gives_each_once_in_batches(shelf: Shelf) -> None:
    shelf.put(ANN, {f"c{n:04}": "text" for n in range(2300)})
    batches = list(shelf.index.keys(ANN))
    assert len(batches) > 1
    assert sorted(key.chunk_id for batch in batches for key in batch) == [f"c{n:04}" for n in range(2300)]


def test_keys_tell_the_source_and_can_be_of_one(shelf: Shelf) -> None:
    shelf.put(ANN, {"a": "text", "b": "text"})
    shelf.put(ANN, {"c": "text"}, source="s2")
    shelf.put(BOB, {"d": "text"}, source="s3")
    assert sorted(key for batch in shelf.index.keys(ANN) for key in batch) == [("a", "s1"), ("b", "s1"), ("c", "s2")]
    assert sorted(key for batch in shelf.index.keys(ANN, source=SourceId("s2")) for key in batch) == [("c", "s2")]
    assert list(shelf.index.keys(BOB, source=SourceId("s2"))) == []


def test_sources_are_deleted_whole_and_within_the_tenant(shelf: Shelf) -> None:
    shelf.put(ANN, {"a": "text", "b": "text"})
    shelf.put(ANN, {"c": "text"}, source="s2")
    shelf.put(BOB, {"d": "text"}, source="s3")
    shelf.index.delete_sources(ANN, [SourceId("s1"), SourceId("s3"), SourceId("unknown")])
    assert shelf.found(ANN, "text") == ["c"]
    assert shelf.found(BOB, "text") == ["d"]


def test_tenants_are_those_with_chunks(shelf: Shelf) -> None:
    shelf.put(ANN, {"a": "text"})
    shelf.put(BOB, {"b": "text"}, source="s2")
    assert {ANN, BOB} <= set(shelf.index.tenants())
    shelf.remove(BOB, ["b"])
    assert BOB not in shelf.index.tenants()


def test_clear_forgets_the_tenant_and_it_can_begin_again(animals: Shelf) -> None:
    animals.index.clear(ANN)
    assert animals.found(ANN, "fox") == []
    assert animals.indexed(ANN) == []
    animals.put(ANN, {"new": "another fox"})
    assert animals.found(ANN, "fox") == ["new"]


def test_nothing_written_is_nothing_there(shelf: Shelf) -> None:
    with shelf.database.write():
        shelf.index.write(ANN, [])
    assert shelf.found(ANN, "fox") == []


def test_a_word_that_was_missing_is_found_once_it_is_there(animals: Shelf) -> None:
    assert animals.found(ANN, "hedgehog") == []
    animals.put(ANN, {"new": "a hedgehog"})
    assert animals.found(ANN, "hedgehog") == ["new"]


def test_searches_go_on_beside_a_writer(animals: Shelf) -> None:
    """What a transaction has not committed is not found; outside the catalog there is none that could be open."""
    inside, over = threading.Event(), threading.Event()

    def write() -> None:
        with animals.database.write():
            animals.put(ANN, {"new": "a fox not yet seen"})
            inside.set()
            over.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    inside.wait(10)
    try:
        assert set(animals.found(ANN, "fox")) == {"fox", "both"} | (set() if animals.index.in_catalog else {"new"})
    finally:
        over.set()
        writer.join()
    assert "new" in animals.found(ANN, "fox")


@some
@given(hostile)
def test_no_query_or_id_is_syntax_or_reaches_another_tenant(animals: Shelf, text: str) -> None:
    if not animals.indexed(BOB):
        animals.put(BOB, {"theirs": "the fox of bob"}, source="s2")
    assert "theirs" not in animals.found(ANN, text)
    assert set(animals.found(ANN, f"fox {text}")) >= {"fox", "both"}
    if text != "s1":
        assert animals.found(ANN, "fox", sources=[text]) == []
        animals.index.delete_sources(ANN, [SourceId(text)])
    animals.index.delete(ANN, [ChunkId(text)] if text != "fox" else [])
    assert animals.found(TenantId(text), "fox") == []
    assert animals.indexed(ANN) == ["both", "dog", "fox"]
    assert animals.indexed(BOB) == ["theirs"]
