"""What localmind/graph/port.py promises, over every adapter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localmind.catalog.database import Database
from localmind.catalog.tables import chunk, entity, evidence, mention, relation
from localmind.errors import BadCursor
from localmind.graph.likeness import block_of
from localmind.graph.merging import Canonical, entity_id
from localmind.graph.naming import entity_key
from localmind.graph.neo4j import Neo4jGraph
from localmind.graph.port import ChunkExtraction, Graph
from localmind.graph.sql import SqlGraph
from localmind.ids import random_id
from localmind.model import ChunkId, EntityId, ExtractedEntity, ExtractedRelation, Extraction, Filter, Relation, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from tests.hostile import hostile, some
from tests.neo4j_server import neo4j_driver  # noqa: F401 - a fixture
from tests.postgresql_server import catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

# Names of this run alone: on a server others run the same tests.
ACME = TenantId(f"acme-{random_id()}")
OTHER = TenantId(f"other-{random_id()}")
FRESH = TenantId(f"fresh-{random_id()}")
REPORT = SourceId("report")
MEMO = SourceId("memo")


@dataclass
class Store:
    """An adapter, what must be done before it hears of chunks, and a look behind its back."""

    graph: Graph
    add_chunks: Callable[[TenantId, SourceId, Sequence[ChunkId]], None]
    rows: Callable[[], dict[str, int]]


def sql_store(url: str) -> Iterator[Store]:
    database = Database(url)
    if database.is_sqlite:  # no disk is waited for: nothing here survives a power cut anyway
        sa.event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))

    def add_chunks(tenant: TenantId, source: SourceId, ids: Sequence[ChunkId]) -> None:
        with database.write() as connection:
            known = set(connection.execute(sa.select(chunk.c.id)).scalars())
            values = [
                {
                    "id": id_,
                    "tenant": tenant,
                    "source_id": source,
                    "since": 1,
                    "ordinal": n,
                    "start": 0,
                    "end": 1,
                    "heading": "",
                    "text": id_,
                }
                for n, id_ in enumerate(ids)
                if id_ not in known
            ]
            if values:
                connection.execute(sa.insert(chunk), values)

    def rows() -> dict[str, int]:
        with database.read() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in (entity, mention, relation, evidence)
            }

    graph = SqlGraph(database)
    graph.open()
    yield Store(graph, add_chunks, rows)
    graph.close()
    database.close()


def neo4j_store(driver: Neo4jDriver) -> Iterator[Store]:
    counts = {
        "entity": "MATCH (n:Entity) WHERE n.tenant IN $tenants RETURN count(n)",
        "mention": "MATCH (:Chunk)-[r:MENTIONS]->(n:Entity) WHERE n.tenant IN $tenants RETURN count(r)",
        "relation": "MATCH (:Entity)-[r:RELATED]->(n:Entity) WHERE n.tenant IN $tenants RETURN count(r)",
        "evidence": "MATCH (n:Chunk) WHERE n.tenant IN $tenants RETURN sum(size(coalesce(n.said, [])))",
        "node": "MATCH (n) WHERE n.tenant IN $tenants RETURN count(n)",
    }

    def rows() -> dict[str, int]:
        return {name: driver.rows(statement, tenants=[ACME, OTHER, FRESH])[0][0] for name, statement in counts.items()}

    graph = Neo4jGraph(driver)
    graph.open()
    yield Store(graph, lambda tenant, source, ids: None, rows)
    for tenant in (ACME, OTHER, FRESH):
        graph.clear(tenant)
    assert set(rows().values()) == {0}
    graph.close()


@pytest.fixture(params=["sql", pytest.param("sql-postgres", marks=pytest.mark.stack), pytest.param("neo4j", marks=pytest.mark.stack)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "sql":
        yield from sql_store(request.getfixturevalue("catalog_url"))
    elif request.param == "sql-postgres":
        yield from sql_store(request.getfixturevalue("postgresql_url"))
    else:
        yield from neo4j_store(request.getfixturevalue("neo4j"))


@pytest.fixture
def graph(store: Store) -> Graph:
    return store.graph


def says(*names: str, relations: Sequence[tuple[str, str]] = (), weight: float = 1.0) -> Extraction:
    return Extraction(
        tuple(ExtractedEntity(name, weight=weight) for name in names), tuple(ExtractedRelation(one, two) for one, two in relations)
    )


def write(store: Store, extractions: Mapping[str, Extraction], *, tenant: TenantId = ACME, source: SourceId = REPORT) -> None:
    store.add_chunks(tenant, source, [ChunkId(id_) for id_ in extractions])
    store.graph.write(tenant, [ChunkExtraction(source, ChunkId(id_), what) for id_, what in extractions.items()])


def entity_of(graph: Graph, name: str, tenant: TenantId = ACME) -> EntityId:
    return graph.link(tenant, [name])[name].id


def names(graph: Graph, tenant: TenantId = ACME) -> dict[str, int]:
    return {item.name: item.mentions for item in graph.entities(tenant, limit=1000).items}


def ties(graph: Graph, tenant: TenantId = ACME) -> dict[tuple[str, str, str], tuple[float, str]]:
    """Weight and description of every relation by its ends and type; the ends in alphabetical order where it has no direction."""
    found = graph.subgraph(tenant, limit=1000)
    key_of = {item.id: entity_key(item.name) for item in found.entities}
    by_ends = {}
    for item in found.relations:
        ends = [key_of[item.source], key_of[item.target]]
        one, two = sorted(ends) if item.type == "related" else ends
        by_ends[one, two, item.type] = (pytest.approx(item.weight), item.description)
    return by_ends


# --- writing and taking back


def test_spellings_of_one_name_are_one_entity_over_chunks_and_sources(store: Store) -> None:
    write(store, {"c1": says("Acme Corp"), "c2": says("Acme Corp")})
    write(store, {"c3": says("ACME corp")}, source=MEMO)
    assert names(store.graph) == {"Acme Corp": 3}


def test_a_chunk_that_spells_a_name_twice_mentions_it_once(store: Store) -> None:
    write(store, {"c1": says("Acme Corp", "ACME corp")})
    assert names(store.graph) == {"Acme Corp": 1}


def test_writing_a_chunk_again_replaces_what_it_said(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage", relations=[("Ada", "Babbage")]), "c2": says("Ada")})
    write(store, {"c1": says("Ada", "Byron")})
    assert names(store.graph) == {"Ada": 2, "Byron": 1}
    assert ties(store.graph) == {}


def test_a_write_follows_what_it_is_told_that_names_mean(store: Store) -> None:
    names_of = {"mq": Canonical("message queue", "Message Queue")}
    store.add_chunks(ACME, REPORT, [ChunkId("c1"), ChunkId("c2")])
    said = {"c1": says("MQ", "Message Queue", "Ada", relations=[("MQ", "Ada"), ("MQ", "Message Queue")]), "c2": says("MQ")}
    store.graph.write(ACME, [ChunkExtraction(REPORT, ChunkId(id_), what) for id_, what in said.items()], names_of)
    assert names(store.graph) == {"Message Queue": 2, "Ada": 1}
    assert ties(store.graph) == {("ada", "message queue", "related"): (1.0, "")}


def test_entities_are_found_by_their_block(store: Store) -> None:
    write(store, {"c1": says("Red Hat", "RedHat", "Bergen"), "c2": says("RedHat"), **{f"d{n}": says("Bergin") for n in range(2)}})
    blocks = [block_of(entity_key(name)) for name in ("Red Hat", "Bergen", "Nobody")]
    found = [(alike.block, alike.entity.name) for alike in store.graph.alike(ACME, [*blocks, ""], limit=2)]
    assert sorted(found) == sorted([(blocks[0], "RedHat"), (blocks[0], "Red Hat"), (blocks[1], "Bergin"), (blocks[1], "Bergen")])
    assert [alike.entity.name for alike in store.graph.alike(ACME, [blocks[0]], limit=1)] == ["RedHat"]
    assert store.graph.alike(OTHER, blocks, limit=2) == store.graph.alike(ACME, [], limit=2) == []


def test_what_chunks_say_of_an_entity_is_told_longest_first(store: Store) -> None:
    told = {"c1": "A pump", "c2": "A pump of brass", "c3": ""}
    write(store, {id_: Extraction((ExtractedEntity("Aurora", description=text),)) for id_, text in told.items()})
    aurora = entity_of(store.graph, "Aurora")
    assert store.graph.statements(ACME, aurora, limit=5) == [((ChunkId(id_), REPORT), told[id_]) for id_ in ("c2", "c1")]
    assert len(store.graph.statements(ACME, aurora, limit=1)) == 1
    assert store.graph.statements(OTHER, aurora, limit=5) == []


def test_writing_the_same_twice_changes_nothing(store: Store) -> None:
    said = {"c1": says("Ada", "Babbage", relations=[("Ada", "Babbage")]), "c2": says("Ada", "Babbage", relations=[("Babbage", "Ada")])}
    write(store, said)
    before = names(store.graph), ties(store.graph), store.rows()
    write(store, said)
    assert (names(store.graph), ties(store.graph), store.rows()) == before


@pytest.mark.parametrize(
    "name",
    [
        'O\'Brien "the Hammer"',
        "{name} $name ?1 :name %s",
        "`x`}) DETACH DELETE n //",
        "'; DROP TABLE entity; --",
        "MATCH (n) RETURN n",
        "a\\b",
        "Zoë 漢字 🎉",
        "long " * 2000,
    ],
    ids=["quotes", "parameters", "cypher", "sql", "a query", "backslash", "scripts", "10,000 characters"],
)
def test_a_name_is_data_and_nothing_else(store: Store, name: str) -> None:
    write(
        store,
        {"c1": Extraction((ExtractedEntity(name, name, name), ExtractedEntity("Ada")), (ExtractedRelation(name, "Ada", name, name),))},
    )

    assert names(store.graph) == {name.strip(): 1, "Ada": 1}
    found = store.graph.link(ACME, [name])[name]
    assert [each.entity.name for each in store.graph.neighbors(ACME, [found.id], limit=5)] == ["Ada"]
    assert store.graph.entities(ACME, query=name[:50]).items[0].id == found.id
    assert [each.chunk_id for each in store.graph.chunks(ACME, {found.id: 1.0}, limit=5)] == ["c1"]
    write(store, {"c1": says("Ada")})
    assert names(store.graph) == {"Ada": 1}


def test_a_name_without_a_letter_is_no_entity(store: Store) -> None:
    write(store, {"c1": says("---", "Ada")})
    assert names(store.graph) == {"Ada": 1}


def test_a_relation_to_itself_or_to_an_unnamed_end_is_dropped(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage", relations=[("Ada", "ADA"), ("Ada", "Nobody")])})
    assert ties(store.graph) == {}


def test_a_relation_without_direction_is_one_whichever_way_it_is_said(store: Store) -> None:
    write(
        store, {"c1": says("Ada", "Babbage", relations=[("Ada", "Babbage")]), "c2": says("Ada", "Babbage", relations=[("Babbage", "Ada")])}
    )
    assert ties(store.graph) == {("ada", "babbage", "related"): (2.0, "")}


def test_a_relation_with_a_type_keeps_its_direction(store: Store) -> None:
    founded = Extraction((ExtractedEntity("Zoe"), ExtractedEntity("Acme")), (ExtractedRelation("Zoe", "Acme", "founded"),))
    write(store, {"c1": founded})
    found = store.graph.subgraph(ACME).relations[0]
    assert (found.source, found.target) == (entity_of(store.graph, "Zoe"), entity_of(store.graph, "Acme"))


def test_an_entity_goes_with_its_last_mention_and_a_relation_with_its_last_evidence(store: Store) -> None:
    said = says("Ada", "Babbage", relations=[("Ada", "Babbage")])
    write(store, {"c1": said, "c2": said, "c3": says("Ada")})
    store.graph.delete(ACME, [ChunkId("c1")])
    assert (names(store.graph), ties(store.graph)) == ({"Ada": 2, "Babbage": 1}, {("ada", "babbage", "related"): (1.0, "")})
    store.graph.delete(ACME, [ChunkId("c2")])
    assert (names(store.graph), ties(store.graph)) == ({"Ada": 1}, {})
    store.graph.delete(ACME, [ChunkId("c3")])
    assert set(store.rows().values()) == {0}


def test_deleting_unknown_chunks_and_deleting_twice_change_nothing(store: Store) -> None:
    write(store, {"c1": says("Ada"), "c2": says("Ada")})
    store.graph.delete(ACME, [ChunkId("c1"), ChunkId("nothing"), ChunkId("c1")])
    store.graph.delete(ACME, [ChunkId("c1"), ChunkId("not an id \x00\ud800")])
    assert names(store.graph) == {"Ada": 1}


def test_an_extraction_without_entities_takes_back_what_the_chunk_said(store: Store) -> None:
    write(store, {"c1": says("Ada")})
    write(store, {"c1": Extraction()})
    assert set(store.rows().values()) == {0}


def test_a_type_that_says_more_wins_over_concept(store: Store) -> None:
    write(store, {"c1": says("Ada")})
    write(store, {"c2": Extraction((ExtractedEntity("Ada", "person"),))})
    write(store, {"c3": says("Ada")})
    assert store.graph.link(ACME, ["Ada"])["Ada"].type == "person"


def test_the_longest_description_is_shown_and_goes_with_the_chunk_that_gave_it(store: Store) -> None:
    def described(text: str) -> Extraction:
        both = (ExtractedEntity("Ada", description=text), ExtractedEntity("Babbage"))
        return Extraction(both, (ExtractedRelation("Ada", "Babbage", description=text),))

    def shown() -> tuple[str, str]:
        return store.graph.link(ACME, ["Ada"])["Ada"].description, store.graph.subgraph(ACME).relations[0].description

    write(store, {"c1": described("short"), "c2": described("the longest of all"), "c3": described("")})
    assert shown() == ("the longest of all", "the longest of all")
    store.graph.delete(ACME, [ChunkId("c2")])
    assert shown() == ("short", "short")
    store.graph.delete(ACME, [ChunkId("c1")])
    assert shown() == ("", "")


def test_many_chunks_are_written_and_taken_back_at_once(store: Store) -> None:
    said = {f"c{n}": says("Ada", f"Thing {n}", relations=[("Ada", f"Thing {n}")]) for n in range(3000)}
    write(store, said)
    assert store.graph.count_entities(ACME) == 3001
    store.graph.delete(ACME, [ChunkId(id_) for id_ in said])
    assert set(store.rows().values()) == {0}


NAMES = ("Ada", "ADA", "Babbage", "Babbages", "Byron", "Café", "cafe", "Zuse")
said = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((0.5, 1.0, 3.0)), st.sampled_from(("", "a", "bb", "ccc"))), max_size=5)
related = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(("related", "knows"))), max_size=4)
extractions = st.builds(
    lambda named, pairs: Extraction(
        tuple(ExtractedEntity(name, weight=weight, description=text) for name, weight, text in named),
        tuple(ExtractedRelation(*pair, description=pair[0]) for pair in pairs),
    ),
    said,
    related,
)
chunk_names = st.sampled_from([f"c{n}" for n in range(5)])
calls = st.lists(st.one_of(st.dictionaries(chunk_names, extractions, max_size=3), st.lists(chunk_names, max_size=3)), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls)
def test_any_sequence_of_writes_and_deletes_equals_a_fresh_write_of_what_is_left(
    store: Store, calls: list[dict[str, Extraction] | list[str]]
) -> None:
    store.graph.clear(ACME)
    store.graph.clear(FRESH)
    left: dict[str, Extraction] = {}
    for call in calls:
        if isinstance(call, dict):
            write(store, call)
            left |= call
        else:
            store.graph.delete(ACME, [ChunkId(id_) for id_ in call])
            left = {id_: what for id_, what in left.items() if id_ not in call}
    write(store, {f"fresh-{id_}": what for id_, what in left.items()}, tenant=FRESH)

    def entities(tenant: TenantId) -> dict[str, tuple[int, int]]:
        return {entity_key(e.name): (e.mentions, len(e.description)) for e in store.graph.entities(tenant, limit=100).items}

    def relations(tenant: TenantId) -> dict[tuple[str, str, str], tuple[float, int]]:
        return {key: (weight, len(text)) for key, (weight, text) in ties(store.graph, tenant).items()}

    assert entities(ACME) == entities(FRESH)
    assert relations(ACME) == relations(FRESH)
    assert store.graph.miscounted(ACME) == []


# --- tenants


def test_another_tenant_sees_and_changes_nothing(store: Store) -> None:
    graph = store.graph
    write(store, {"c1": says("Ada", "Babbage", relations=[("Ada", "Babbage")])})
    write(store, {"o1": says("Zuse")}, tenant=OTHER, source=MEMO)
    ada, babbage = entity_of(graph, "Ada"), entity_of(graph, "Babbage")
    graph.delete(OTHER, [ChunkId("c1")])
    if graph.in_catalog:  # which knows whose chunk it is, and passes it over
        graph.write(OTHER, [ChunkExtraction(REPORT, ChunkId("c1"), says("Intruder"))])
    assert names(graph, OTHER) == {"Zuse": 1}
    assert graph.get(OTHER, [ada]) == []
    assert graph.link(OTHER, ["Ada"]) == {}
    assert graph.neighbors(OTHER, [ada], limit=10) == []
    assert graph.chunks(OTHER, {ada: 1.0}, limit=10) == []
    assert graph.chunks(OTHER, {ada: 1.0}, limit=10, where=Filter(frozenset((REPORT,)))) == []
    assert graph.mentioned_in(OTHER, [ChunkId("c1")]).edges == []
    assert graph.mentioning(OTHER, [ada], each=9) == []
    assert graph.mentioning(OTHER, [ada], each=9, where=Filter(frozenset((REPORT,)))) == []
    assert graph.mentions(OTHER, ada, limit=10) == []
    assert graph.path(OTHER, ada, babbage) is None
    assert graph.subgraph(OTHER, center=ada).entities == ()
    assert graph.entities_of(OTHER, [REPORT]).get(REPORT, 0) == 0
    assert [[key.chunk_id for key in batch] for batch in graph.keys(OTHER)] == [["o1"]]
    graph.clear(OTHER)
    assert names(graph) == {"Ada": 1, "Babbage": 1}


def test_keys_tell_the_source_and_can_be_of_one(store: Store) -> None:
    write(store, {"c1": says("Ada"), "c2": says()})
    write(store, {"c3": says("Ada")}, source=MEMO)
    assert sorted(key for batch in store.graph.keys(ACME) for key in batch) == [("c1", REPORT), ("c3", MEMO)]
    assert [key for batch in store.graph.keys(ACME, source=MEMO) for key in batch] == [("c3", MEMO)]
    assert list(store.graph.keys(OTHER, source=MEMO)) == []


def test_deleting_sources_takes_back_what_only_they_said(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage", relations=[("Ada", "Babbage")]), "c2": says("Ada")})
    write(store, {"c3": says("Ada", "Lovelace")}, source=MEMO)
    store.graph.delete_sources(OTHER, [REPORT])
    assert names(store.graph) == {"Ada": 3, "Babbage": 1, "Lovelace": 1}
    store.graph.delete_sources(ACME, [REPORT, SourceId("unknown")])
    assert names(store.graph) == {"Ada": 1, "Lovelace": 1}
    assert ties(store.graph) == {}


def test_what_chunks_said_can_be_given_to_another_engine(store: Store) -> None:
    said = Extraction(
        (ExtractedEntity("Ada", "person", "wrote programs", 2.0), ExtractedEntity("Engine", "product", weight=1.5)),
        (ExtractedRelation("Ada", "Engine", "programmed", "the first", 3.0),),
    )
    write(store, {"c1": said, "c2": says("Ada"), "c3": says()})
    write(store, {"o1": says("Ada")}, tenant=OTHER, source=MEMO)
    asked = [ChunkId(id_) for id_ in ("c1", "c2", "c3", "o1", "unknown")]
    found = {item.chunk_id: item for item in store.graph.said(ACME, asked)}
    assert found.keys() == {"c1", "c2"}
    assert found[ChunkId("c1")] == ChunkExtraction(REPORT, ChunkId("c1"), said)
    before = names(store.graph), ties(store.graph)
    store.graph.write(ACME, list(found.values()))
    assert (names(store.graph), ties(store.graph)) == before


def test_tenants_are_those_with_entities(store: Store) -> None:
    write(store, {"c1": says("Ada")})
    assert ACME in store.graph.tenants()
    store.graph.delete(ACME, [ChunkId("c1")])
    assert ACME not in store.graph.tenants()


def test_an_arrangement_changes_nothing_that_is_said(store: Store) -> None:
    write(store, {"c1": says("Ada"), "c2": says("Ada")})
    store.graph.arrange(ACME, {REPORT: [ChunkId("c2"), ChunkId("c1")]})
    store.graph.arrange(ACME, {REPORT: [ChunkId("c1"), ChunkId("c2")]})
    assert names(store.graph) == {"Ada": 2}


def test_clear_forgets_the_tenant(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage", relations=[("Ada", "Babbage")])})
    store.graph.clear(ACME)
    assert set(store.rows().values()) == {0}


# --- entities


def test_entities_come_most_mentioned_first_in_pages_that_miss_and_repeat_none(store: Store) -> None:
    write(store, {f"c{n}": says(*(f"Thing{k:02}" for k in range(n + 1))) for n in range(12)})
    whole = store.graph.entities(ACME, limit=100)
    assert whole.next_cursor is None
    assert [item.mentions for item in whole.items] == sorted((item.mentions for item in whole.items), reverse=True)
    paged, cursor = [], None
    while True:
        page = store.graph.entities(ACME, limit=5, cursor=cursor)
        paged += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert tuple(paged) == whole.items


def test_a_search_for_entities_ignores_case_and_accents_and_knows_no_wildcards(store: Store) -> None:
    write(store, {"c1": says("Café Müller", "Muller and Sons")})
    assert {item.name for item in store.graph.entities(ACME, query="MULLER").items} == {"Café Müller", "Muller and Sons"}
    assert {item.name for item in store.graph.entities(ACME, query="é mü").items} == {"Café Müller"}
    assert store.graph.entities(ACME, query="%").items == ()


def test_a_cursor_that_no_list_gave_out_is_refused(graph: Graph) -> None:
    with pytest.raises(BadCursor):
        graph.entities(ACME, cursor="nonsense")


def test_get_keeps_the_order_and_leaves_out_what_is_unknown(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage")})
    ada, babbage = entity_of(store.graph, "Ada"), entity_of(store.graph, "Babbage")
    found = store.graph.get(ACME, [babbage, EntityId("unknown"), ada, EntityId("not an id\x00")])
    assert [item.id for item in found] == [babbage, ada]


def test_link_finds_names_in_any_spelling_and_leaves_out_the_rest(store: Store) -> None:
    write(store, {"c1": says("Analytical Engine")})
    found = store.graph.link(ACME, ["the analytical ENGINES", "steam", "", "\ud800", "?"])
    assert {name: item.name for name, item in found.items()} == {"the analytical ENGINES": "Analytical Engine"}


def test_entities_are_counted_by_source(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage"), "c2": says("Ada")})
    write(store, {"c3": says("Ada", "Zuse")}, source=MEMO)
    assert store.graph.count_entities(ACME) == 3
    counts = store.graph.entities_of(ACME, [REPORT, MEMO, SourceId("unknown")])
    assert (counts[REPORT], counts[MEMO], counts.get(SourceId("unknown"), 0)) == (2, 2, 0)


def test_chunk_ids_gives_every_chunk_that_mentions_something_once(store: Store) -> None:
    write(store, {f"c{n}": says("Ada") for n in range(2500)} | {"silent": Extraction()})
    ids = [key.chunk_id for batch in store.graph.keys(ACME) for key in batch]
    assert sorted(ids) == sorted(f"c{n}" for n in range(2500))


# --- chunks


def test_chunks_are_scored_by_the_weights_of_what_they_mention(store: Store) -> None:
    write(store, {"both": says("Ada", "Babbage"), "strong": says("Ada", weight=5), "weak": says("Ada"), "none": says("Zuse")})
    ada, babbage = entity_of(store.graph, "Ada"), entity_of(store.graph, "Babbage")
    found = store.graph.chunks(ACME, {ada: 1.0, babbage: 10.0}, limit=10)
    assert [hit.chunk_id for hit in found] == ["both", "strong", "weak"]
    assert all(one.score >= two.score > 0 for one, two in pairwise(found))
    assert store.graph.chunks(ACME, {ada: 1.0, babbage: 10.0}, limit=1) == found[:1]


def test_a_rare_entity_weighs_more_than_one_that_is_everywhere(store: Store) -> None:
    write(store, {f"c{n}": says("Common") for n in range(20)} | {"rare": says("Rare")})
    weights = {entity_of(store.graph, "Common"): 1.0, entity_of(store.graph, "Rare"): 1.0}
    assert store.graph.chunks(ACME, weights, limit=3)[0].chunk_id == "rare"


def test_chunks_are_restricted_to_sources_and_an_empty_filter_matches_nothing(store: Store) -> None:
    write(store, {"c1": says("Ada")})
    write(store, {"c2": says("Ada")}, source=MEMO)
    weights = {entity_of(store.graph, "Ada"): 1.0}
    assert [hit.chunk_id for hit in store.graph.chunks(ACME, weights, limit=9, where=Filter(frozenset((MEMO,))))] == ["c2"]
    assert store.graph.chunks(ACME, weights, limit=9, where=Filter(frozenset())) == []
    assert store.graph.chunks(ACME, {EntityId("unknown"): 1.0}, limit=9) == []
    assert store.graph.chunks(ACME, {}, limit=9) == []


def test_what_chunks_mention_is_told_with_the_entities_and_how_often_the_greatest_is_mentioned(store: Store) -> None:
    write(store, {"c1": says("Ada", "Babbage", weight=2), "c2": says("Ada"), "c3": says("Ada", "Zuse")})
    write(store, {"o1": says("Ada", "Other")}, tenant=OTHER, source=MEMO)
    asked = [ChunkId(id_) for id_ in ("c1", "c2", "o1", "unknown", "not an id\x00")]
    found = store.graph.mentioned_in(ACME, asked)
    told = {(mention.chunk_id, found.entities[mention.entity_id].name, mention.weight) for mention in found.edges}
    assert told == {("c1", "Ada", 2), ("c1", "Babbage", 2), ("c2", "Ada", 1)}
    assert len(found.edges) == 3
    assert {item.name: (id_, item.mentions) for id_, item in found.entities.items()} == {
        name: (entity_of(store.graph, name), count) for name, count in (("Ada", 3), ("Babbage", 1))
    }
    assert found.most == 3
    assert store.graph.mentioned_in(ACME, []) == ({}, [], 3)
    assert store.graph.mentioned_in(FRESH, [ChunkId("c1")]) == ({}, [], 0)


def mentioning(store: Store, *names: str, each: int, where: Filter | None = None) -> set[tuple[str, str, float]]:
    known = {entity_of(store.graph, name): name for name in names}
    found = store.graph.mentioning(ACME, [*known, EntityId("unknown"), EntityId("not an id\x00")], each=each, where=where)
    assert len(set(found)) == len(found)
    return {(known[mention.entity_id], mention.chunk_id, mention.weight) for mention in found}


def test_of_each_entity_the_chunks_are_told_that_mention_it_most_strongly(store: Store) -> None:
    write(store, {"c1": says("Ada"), "c2": says("Ada", weight=5), "c3": says("Ada", weight=3)})
    write(store, {"c4": says("Babbage")})
    assert mentioning(store, "Ada", "Babbage", each=2) == {("Ada", "c2", 5), ("Ada", "c3", 3), ("Babbage", "c4", 1)}
    assert store.graph.mentioning(ACME, [], each=2) == []


def test_mentions_are_restricted_to_sources_and_an_empty_filter_matches_nothing(store: Store) -> None:
    write(store, {"c1": says("Ada", weight=3), "c2": says("Ada", weight=2)})
    write(store, {"m1": says("Ada"), "m2": says("Ada", weight=0.5)}, source=MEMO)
    assert mentioning(store, "Ada", each=1, where=Filter(frozenset((MEMO,)))) == {("Ada", "m1", 1)}
    assert mentioning(store, "Ada", each=9, where=Filter(frozenset((MEMO, SourceId("unknown"))))) == {("Ada", "m1", 1), ("Ada", "m2", 0.5)}
    assert mentioning(store, "Ada", each=9, where=Filter(frozenset())) == set()


def test_a_filter_that_leaves_many_chunks_finds_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ("sql", "neo4j"):
        monkeypatch.setattr(f"localmind.graph.{engine}.CHUNKS_READ", 0)
    write(store, {"c1": says("Ada", weight=3), "c2": says("Ada", weight=2)})
    write(store, {"m1": says("Ada"), "m2": says("Ada", weight=0.5)}, source=MEMO)
    assert mentioning(store, "Ada", each=1, where=Filter(frozenset((MEMO,)))) == {("Ada", "m1", 1)}
    assert mentioning(store, "Ada", each=9, where=Filter(frozenset((MEMO, REPORT)))) == mentioning(store, "Ada", each=9)


def test_mentions_come_strongest_first(store: Store) -> None:
    write(store, {"c1": says("Ada"), "c2": says("Ada", weight=3), "c3": says("Ada", weight=2)})
    assert store.graph.mentions(ACME, entity_of(store.graph, "Ada"), limit=2) == ["c2", "c3"]


# --- relations


def chain(store: Store, *pairs: tuple[str, str], again: Sequence[tuple[str, str]] = ()) -> None:
    said = [says(one, two, relations=[(one, two)]) for one, two in (*pairs, *again)]
    write(store, {f"link{n}": what for n, what in enumerate(said)})


def test_neighbors_come_heaviest_first_without_relations_within(store: Store) -> None:
    graph = store.graph
    chain(
        store,
        ("Ada", "Babbage"),
        ("Ada", "Byron"),
        ("Zuse", "Ada"),
        ("Zuse", "Babbage"),
        again=[("Zuse", "Ada"), ("Zuse", "Ada"), ("Ada", "Byron")],
    )
    ada, zuse = entity_of(graph, "Ada"), entity_of(graph, "Zuse")
    found = graph.neighbors(ACME, [ada], limit=10)
    assert [(item.entity.name, item.relation.weight) for item in found] == [("Zuse", 3.0), ("Byron", 2.0), ("Babbage", 1.0)]
    assert graph.neighbors(ACME, [ada], limit=2) == found[:2]
    together = graph.neighbors(ACME, [ada, zuse], limit=10)
    assert sorted((item.entity.name, item.relation.weight) for item in together) == [("Babbage", 1.0), ("Babbage", 1.0), ("Byron", 2.0)]
    assert graph.neighbors(ACME, [EntityId("unknown")], limit=10) == []
    assert graph.neighbors(ACME, [], limit=10) == []


def test_neighbors_of_many_entities_are_taken_together(store: Store) -> None:
    write(store, {f"c{n}": says(f"Thing {n}", "Hub", relations=[(f"Thing {n}", "Hub")]) for n in range(80)})
    found = store.graph.neighbors(ACME, [entity_of(store.graph, f"Thing {n}") for n in range(80)], limit=100)
    assert [item.entity.name for item in found] == ["Hub"] * 80


def test_a_path_is_a_shortest_one_in_its_order(store: Store) -> None:
    graph = store.graph
    chain(store, ("A1", "B1"), ("B1", "C1"), ("C1", "D1"), ("A1", "E1"), ("E1", "D1"), ("X1", "Y1"))
    a, d, c = (entity_of(graph, name) for name in ("A1", "D1", "C1"))
    found = graph.path(ACME, a, d)
    assert found is not None
    assert [item.name for item in found.entities] == ["A1", "E1", "D1"]
    assert [frozenset((item.source, item.target)) for item in found.relations] == [
        frozenset((one.id, two.id)) for one, two in pairwise(found.entities)
    ]
    assert graph.path(ACME, a, c, max_hops=1) is None
    assert graph.path(ACME, a, entity_of(graph, "X1"), max_hops=9) is None
    assert graph.path(ACME, a, EntityId("unknown")) is None
    alone = graph.path(ACME, a, a)
    assert alone is not None
    assert ([item.name for item in alone.entities], alone.relations) == (["A1"], ())


def test_a_subgraph_holds_the_most_mentioned_entities_and_the_relations_among_them(store: Store) -> None:
    chain(store, ("Ada", "Babbage"), ("Ada", "Byron"), again=[("Ada", "Babbage")])
    found = store.graph.subgraph(ACME, limit=2)
    assert [item.name for item in found.entities] == ["Ada", "Babbage"]
    ada, babbage = (item.id for item in found.entities)
    assert found.relations == (Relation(ada, babbage, "related", "", 2.0),)


def test_a_subgraph_around_a_centre_begins_with_it_and_widens_as_far_as_there_is_room(store: Store) -> None:
    graph = store.graph
    chain(store, ("A1", "B1"), ("B1", "C1"), ("C1", "D1"), ("X1", "Y1"))
    assert [item.name for item in graph.subgraph(ACME, center=entity_of(graph, "A1"), limit=3).entities] == ["A1", "B1", "C1"]
    whole = graph.subgraph(ACME, center=entity_of(graph, "A1"), limit=50)
    assert ([item.name for item in whole.entities], len(whole.relations)) == (["A1", "B1", "C1", "D1"], 3)
    assert graph.subgraph(ACME, center=EntityId("unknown")).entities == ()


def test_a_subgraph_around_a_centre_keeps_to_its_limit(store: Store) -> None:
    chain(store, ("Hub", "A1"), ("Hub", "B1"), ("Hub", "C1"), ("Hub", "D1"), again=[("Hub", "C1"), ("Hub", "B1"), ("Hub", "B1")])
    found = store.graph.subgraph(ACME, center=entity_of(store.graph, "Hub"), limit=3)
    assert [item.name for item in found.entities] == ["Hub", "B1", "C1"]


# --- the limits that keep the engines fast


@pytest.fixture
def limited(store: Store) -> Store:
    if not isinstance(store.graph, SqlGraph):
        pytest.skip("has no such limits")
    return store


def test_entities_too_frequent_to_be_read_are_looked_up_for_the_chunks_of_rarer_ones(
    limited: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(limited, {f"c{n:02}": says("Common") for n in range(30)} | {"both": says("Common", "Rare"), "rare": says("Rare")})
    weights = {entity_of(limited.graph, "Common"): 1.0, entity_of(limited.graph, "Rare"): 1.0}
    exact = {hit.chunk_id: hit.score for hit in limited.graph.chunks(ACME, weights, limit=2)}
    monkeypatch.setattr("localmind.graph.sql.ROWS_READ", 5)
    found = {hit.chunk_id: hit.score for hit in limited.graph.chunks(ACME, weights, limit=2)}
    assert found == pytest.approx(exact)
    assert math.isclose(found[ChunkId("both")] - found[ChunkId("rare")], math.log1p(1) ** 2 / 2)


def test_of_an_entity_that_is_everywhere_the_strongest_mentions_are_read(limited: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(limited, {f"c{n:02}": says("Common", weight=n + 1) for n in range(30)})
    write(limited, {"m1": says("Common", weight=0.5)}, source=MEMO)
    common = {entity_of(limited.graph, "Common"): 1.0}
    monkeypatch.setattr("localmind.graph.sql.ROWS_READ", 5)
    assert [hit.chunk_id for hit in limited.graph.chunks(ACME, common, limit=9)] == ["c29", "c28", "c27", "c26", "c25"]
    of_memo = Filter(frozenset((MEMO,)))
    assert [hit.chunk_id for hit in limited.graph.chunks(ACME, common, limit=9, where=of_memo)] == ["m1"]
    monkeypatch.setattr("localmind.graph.sql.CHUNKS_READ", 10)
    of_report = Filter(frozenset((REPORT,)))
    assert [hit.chunk_id for hit in limited.graph.chunks(ACME, common, limit=2, where=of_report)] == ["c29", "c28"]
    monkeypatch.setattr("localmind.graph.sql.ROWS_READ", 1000)
    assert [hit.chunk_id for hit in limited.graph.chunks(ACME, common, limit=2, where=of_report)] == ["c29", "c28"]


def test_of_an_entity_that_is_everywhere_only_so_many_mentions_are_sifted_for_a_source(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(store.graph, SqlGraph):
        pytest.skip("sifts the newest, not the strongest")
    write(store, {f"c{n:02}": says("Common", weight=n + 1) for n in range(30)})
    write(store, {"m1": says("Common", weight=0.5)}, source=MEMO)
    monkeypatch.setattr("localmind.graph.sql.CHUNKS_READ", 0)
    of_memo = Filter(frozenset((MEMO,)))
    assert mentioning(store, "Common", each=3, where=of_memo) == {("Common", "m1", 0.5)}
    monkeypatch.setattr("localmind.graph.sql.MENTIONS_SIFTED", 5)
    assert mentioning(store, "Common", each=3, where=of_memo) == set()
    assert mentioning(store, "Common", each=2) == {("Common", "c29", 30), ("Common", "c28", 29)}


def test_what_is_deleted_while_it_is_read_is_told_whole_or_not_at_all(store: Store) -> None:
    names = [f"Red Hat {n}" for n in range(300)]
    ids = [entity_id(ACME, entity_key(name)) for name in names]
    blocks = sorted({block_of(entity_key(name)) for name in names})
    with ThreadPoolExecutor(1) as threads:

        def write_and_delete() -> None:
            for _ in range(40):
                write(store, {"c1": says(*names)})
                store.graph.delete(ACME, [ChunkId("c1")])

        writing = threads.submit(write_and_delete)
        while not writing.done():
            alike = [each.entity for each in store.graph.alike(ACME, blocks, limit=500)]
            told = store.graph.mentioned_in(ACME, [ChunkId("c1")]).entities.values()
            for each in (*store.graph.get(ACME, ids), *store.graph.entities(ACME).items, *alike, *told):
                assert (each.name in names, each.mentions) == (True, 1)
        writing.result()


@some
@given(hostile)
def test_no_name_query_or_id_is_syntax_or_reaches_another_tenant(store: Store, text: str) -> None:
    write(store, {"theirs": says("Secret", text + " of theirs", relations=[("Secret", text + " of theirs")])}, tenant=OTHER)
    write(store, {"c1": says("Ada", f"Fox {text}", relations=[("Ada", f"Fox {text}")])})
    before = store.rows()

    assert not {name for name in names(store.graph) if "theirs" in name or name == "Secret"}
    assert {one.name for one in store.graph.entities(ACME, query=text, limit=100).items} <= {
        "Ada",
        f"Fox {text}".strip(),
        *names(store.graph),
    }
    for other in (text, entity_of(store.graph, "Secret", OTHER)):
        assert store.graph.get(ACME, [EntityId(other)]) == []
        assert store.graph.neighbors(ACME, [EntityId(other)], limit=5) == []
        assert store.graph.mentions(ACME, EntityId(other), limit=5) == []
        assert store.graph.chunks(ACME, {EntityId(other): 1.0}, limit=5) == []
        assert store.graph.path(ACME, EntityId(other), entity_of(store.graph, "Ada")) is None
    assert store.graph.chunks(ACME, {entity_of(store.graph, "Ada"): 1.0}, limit=5, where=Filter(frozenset({SourceId(text)}))) == []
    store.graph.delete(ACME, [ChunkId(text), ChunkId("theirs")])
    store.graph.delete_sources(ACME, [SourceId(text)])
    store.graph.clear(TenantId(text))
    assert store.rows() == before
    assert "Secret" in names(store.graph, OTHER)
