from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from localmind.catalog import fts
from localmind.catalog.chunks import Chunks
from localmind.catalog.database import Database
from localmind.errors import CorruptIndex, InvalidInput
from localmind.model import PERSONAL, Chunk, ChunkId, Filter, SourceId
from localmind.text import fts5
from localmind.text.fts5 import Fts5Text, plan_match
from localmind.text.port import TitledChunk


@pytest.fixture
def database(catalog_url: str) -> Iterator[Database]:
    database = Database(catalog_url)
    yield database
    database.close()


def put(database: Database, texts: dict[str, str], *, source: str = "s1") -> None:
    chunks = [titled(id, text, source=source) for id, text in texts.items()]
    with database.write():
        Chunks(database).stage(PERSONAL, [(item.chunk, 1) for item in chunks])
        Fts5Text(database).write(PERSONAL, chunks)


def titled(id: str, text: str = "", *, source: str = "s1") -> TitledChunk:
    return TitledChunk("A title", Chunk(ChunkId(id), SourceId(source), 0, text, 0, 1))


def found(database: Database, query: str, *, limit: int = 10, sources: list[str] | None = None) -> list[str]:
    where = None if sources is None else Filter(frozenset(SourceId(source) for source in sources))
    return [hit.chunk_id for hit in Fts5Text(database).search(PERSONAL, query, limit=limit, where=where)]


# --- which words are asked for


def test_with_few_chunks_all_words_are_alternatives() -> None:
    assert plan_match({'"a"': 3, '"b"': 1}, 10).match == '"b" OR "a"'


def test_words_that_no_chunk_has_are_left_out() -> None:
    assert plan_match({'"a"': 0}, 10) == ("", "")
    assert plan_match({'"a"': 0, '"b"': 1}, 10).match == '"b"'


def test_a_hit_needs_a_rare_word_and_common_ones_count_beside_it() -> None:
    plan = plan_match({'"common"': 20_000, '"rare"': 300, '"everywhere"': 90_000}, 10)
    assert plan.match == '("rare") AND ("rare" OR "common")'
    assert plan.everything == '"rare" OR "common" OR "everywhere"'


def test_where_rare_words_stand_in_too_few_chunks_a_common_one_joins_them() -> None:
    assert plan_match({'"common"': 20_000, '"rare"': 3}, 10).match == '"rare" OR "common"'


def test_a_common_word_alone_is_asked_for() -> None:
    assert plan_match({'"everywhere"': 90_000}, 10).match == '"everywhere"'


def test_the_answer_is_full_where_rare_words_stand_in_too_few_of_the_sources(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fts5, "REQUIRED_ROWS", 3)
    monkeypatch.setattr(fts5, "ROWS_PER_HIT", 1)
    put(database, {f"rare{n}": "a rare common thing" for n in range(3)})
    put(database, {f"common{n}": "common" for n in range(9)}, source="s2")
    assert found(database, "rare common", limit=3) == ["rare0", "rare1", "rare2"]
    assert len(found(database, "rare common", limit=20)) == 12
    assert found(database, "rare common", limit=3, sources=["s2"]) == ["common0", "common1", "common2"]


def test_few_and_many_sources_filter_alike(database: Database) -> None:
    for n in range(5):
        put(database, {f"c{n}": "a word"}, source=f"s{n}")
    few, many = ["s1", "s3"], ["s1", "s3", *(f"x{n}" for n in range(fts5.SOURCES_IN_A_RANGE))]
    assert found(database, "word", sources=few) == found(database, "word", sources=many) == ["c1", "c3"]


# --- what lies in the database


def integrity(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO chunk_fts (chunk_fts) VALUES ('integrity-check')")


def vocabulary(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        connection.exec_driver_sql("CREATE VIRTUAL TABLE temp.words USING fts5vocab (main, chunk_fts, row)")
        try:
            return [tuple(row) for row in connection.exec_driver_sql("SELECT term, doc FROM temp.words ORDER BY term")]
        finally:
            connection.exec_driver_sql("DROP TABLE temp.words")


def test_after_random_writes_and_deletes_the_index_holds_what_the_rows_hold(database: Database) -> None:
    chance = random.Random(7)
    words = ["fox", "dog", "東京都", "C++", "ﬁle", "v2.3.5", "Café", "हिन्दी"]
    there: dict[str, str] = {}
    for n in range(60):
        new = {f"c{n}-{i}": " ".join(chance.choices(words, k=6)) for i in range(3)}
        put(database, new)
        there |= new
        gone = chance.sample(sorted(there), 2)
        with database.write():
            Fts5Text(database).delete(PERSONAL, [ChunkId(id) for id in gone])
            Chunks(database).delete(PERSONAL, [ChunkId(id) for id in gone])
        for id in gone:
            del there[id]
    integrity(database)
    assert dict(vocabulary(database))["cplusplu"] == sum("C++" in text for text in there.values())
    with database.write():
        Fts5Text(database).delete(PERSONAL, [ChunkId(id) for id in there])
    assert vocabulary(database) == []


def test_the_texts_stand_in_the_database_once(database: Database) -> None:
    put(database, {"c": "unmistakable"})
    with database.read() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name LIKE 'chunk_fts%' AND type = 'table'").scalars()
        assert sorted(tables) == [
            "chunk_fts",
            "chunk_fts_config",
            "chunk_fts_data",
            "chunk_fts_docsize",
            "chunk_fts_entry",
            "chunk_fts_idx",
        ]


def test_the_index_rolls_back_with_the_rows(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write():
        put(database, {"c": "unmistakable"})
        raise RuntimeError
    assert found(database, "unmistakable") == []
    assert vocabulary(database) == []


def test_a_chunk_that_the_catalog_lacks_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInput):
        Fts5Text(database).write(PERSONAL, [titled("nowhere")])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE chunk_fts_data SET block = x'ffffff' WHERE id > 10",
        "DELETE FROM chunk_fts_data WHERE id > 10",
        "UPDATE chunk_fts_data SET block = x'ff00ff00ff00ff00' WHERE id = 10",
        "DELETE FROM chunk_fts_data",
    ],
)
def test_a_damaged_index_is_named_with_the_way_out_and_clearing_mends_it(database: Database, damage: str) -> None:
    put(database, {"c": "a fox"})
    with database.write() as connection:
        connection.exec_driver_sql(damage)
    database.engine.dispose()  # as after a restart: an open connection remembers the index's structure
    with pytest.raises(CorruptIndex) as caught:
        found(database, "fox")
    assert "localmind rebuild" in caught.value.hint
    index = Fts5Text(database)
    index.clear(PERSONAL)
    with database.write():
        index.write(PERSONAL, [titled("c", "a fox")])
    assert found(database, "fox") == ["c"]
    integrity(database)


def test_creating_and_dropping_leaves_nothing(database: Database) -> None:
    with database.write() as connection:
        fts.drop(connection)
        assert connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name LIKE 'chunk_fts%'").scalars().all() == []
        fts.create(connection)
