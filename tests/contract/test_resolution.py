"""Merges and splits over every graph: what is recorded is what the graph shows, and it can be taken back to the letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.catalog.tables import alias, definition, source, spelling, unsettled
from localmind.errors import InvalidInput, NotFound
from localmind.extraction.port import ExtractionResult, Passage
from localmind.graph.aliases import Aliases, Meant, Noted
from localmind.graph.merging import entity_id
from localmind.graph.naming import entity_key
from localmind.graph.neo4j import Neo4jGraph
from localmind.graph.port import Graph
from localmind.graph.sql import SqlGraph
from localmind.ids import random_id
from localmind.ingest.extractions import Extractions
from localmind.ingest.judging import Context, Described
from localmind.ingest.reconcile import Maintenance
from localmind.ingest.resolution import Resolution
from localmind.ingest.store import Store
from localmind.model import Chunk, ChunkId, EntityId, ExtractedEntity, ExtractedRelation, Extraction, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from tests.neo4j_server import neo4j_driver  # noqa: F401 - a fixture
from tests.postgresql_server import catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures
from tests.unit.retrieval.test_search import WordEmbedder


class Lines:
    """An extractor for texts of lines: "A, B" names two that are related; what stands in brackets after a name is its description."""

    version = "lines"
    costly = False

    def extract(self, passages: Sequence[Passage]) -> list[ExtractionResult]:
        return [ExtractionResult(_read(passage.text)) for passage in passages]


def _read(text: str) -> Extraction:
    entities: list[ExtractedEntity] = []
    relations: list[ExtractedRelation] = []
    for line in text.splitlines():
        names = []
        for item in filter(None, line.split("; ")):
            name, _, rest = item.partition(" = ")
            kind, _, description = rest.partition(": ")
            names.append(name)
            entities.append(ExtractedEntity(name, kind or "name", description))
        relations += [ExtractedRelation(one, two, "related", f"{one} with {two}") for one, two in pairwise(names)]
    return Extraction(tuple(entities), tuple(relations))


class NoVectors:
    """An index that holds nothing, and is asked nothing here."""

    in_catalog = True

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: ()


@dataclass
class ScriptedJudge:
    same_names: set[frozenset[str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def same(self, tenant: TenantId, pairs: Sequence[Described]) -> list[bool | None]:
        names = [(one.split(":")[0], other.split(":")[0]) for one, other in pairs]
        self.asked += names
        return [frozenset(pair) in self.same_names for pair in names]


@dataclass
class Desk:
    """A catalog and a graph, and documents of one chunk each."""

    database: Database
    graph: Graph
    tenant: TenantId
    judge: ScriptedJudge = field(default_factory=ScriptedJudge)

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.database)
        nowhere: Any = NoVectors()
        self.store = Store(self.catalog, nowhere, nowhere, nowhere, self.graph)
        extractions = Extractions(self.catalog, Lines(), llm_version=None)
        self.resolution = Resolution(self.store, extractions, Context(self.graph, WordEmbedder()), self.judge)
        self.maintenance = Maintenance(self.store, WordEmbedder(), extractions, self.resolution, data_dir=Path())

    def put(self, title: str, *texts: str, settle: bool = True) -> None:
        """Add, or add again."""
        source_id = SourceId(f"{self.tenant}-{title}")
        chunks = [Chunk(ChunkId(f"{source_id}-{n}"), source_id, n, text, 0, len(text)) for n, text in enumerate(texts)]
        with self.database.write() as connection:
            if not connection.execute(sa.select(source.c.id).where(source.c.id == source_id)).first():
                times = {"created_at": 0.0, "updated_at": 0.0}
                row = {"id": source_id, "tenant": self.tenant, "kind": "text", "title": title, "tags": [], "uri": None}
                connection.execute(sa.insert(source), [row | times | {"version": 1, "latest": 1}])
                self.catalog.chunks.stage(self.tenant, [(chunk, 1) for chunk in chunks])
        self.store.naming.write(self.tenant, self.resolution._extractions.said(self.tenant, [chunk.id for chunk in chunks]))
        if settle:
            self.resolution.settle(self.tenant, ask=True)

    def remove(self, title: str) -> None:
        source_id = SourceId(f"{self.tenant}-{title}")
        self.store.drop_chunks(self.tenant, self.catalog.chunks.ids_of(self.tenant, source_id))
        if not self.graph.in_catalog:
            self.graph.delete_sources(self.tenant, [source_id])
        with self.database.write() as connection:
            connection.execute(sa.delete(source).where(source.c.id == source_id))
        self.resolution.taken_back(self.tenant)

    def id_of(self, name: str) -> EntityId:
        return self.graph.link(self.tenant, [name])[name].id

    def merge(self, *names: str, into: str | None = None) -> None:
        self.resolution.merge(self.tenant, [self.id_of(name) for name in names], into=self.id_of(into) if into else None)

    def names(self) -> dict[str, int]:
        return {item.name: item.mentions for item in self.graph.entities(self.tenant, limit=1000).items}

    def shown(self) -> tuple[Any, ...]:
        """All of the graph that a reader could see."""
        found = self.graph.subgraph(self.tenant, limit=1000)
        names = {item.id: item.name for item in found.entities}
        entities = {item.name: (item.id, item.type, item.description, item.mentions) for item in found.entities}
        relations = {
            (tuple(sorted((names[item.source], names[item.target]))), item.type): (pytest.approx(item.weight), item.description)
            for item in found.relations
        }
        mentions = {name: sorted(self.graph.mentions(self.tenant, entity[0], limit=100)) for name, entity in entities.items()}
        return entities, relations, mentions

    def rows(self) -> dict[str, int]:
        with self.database.read() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).where(table.c.tenant == self.tenant)).scalar_one()
                for table in (alias, spelling, definition, unsettled)
            }

    def findings(self) -> list[object]:
        report = self.maintenance._check_index(
            "graph", self.tenant, dict(self.catalog.chunks.all_ids(self.tenant)), set(), {"graph": 0}, fix=False
        )
        return [
            *report,
            *self.maintenance._check_counts(self.tenant, fix=False),
            *self.maintenance._check_names(self.tenant, fix=False),
        ]


def sql_desk(url: str) -> Iterator[Desk]:
    database = Database(url)
    desk = Desk(database, SqlGraph(database, Aliases(database).meanings), TenantId("acme"))
    yield desk
    assert desk.findings() == []
    database.close()


def neo4j_desk(url: str, driver: Neo4jDriver) -> Iterator[Desk]:
    database = Database(url)
    graph = Neo4jGraph(driver, Aliases(database).meanings, Aliases(database).named)
    graph.open()
    desk = Desk(database, graph, TenantId(f"acme-{random_id()}"))
    yield desk
    assert desk.findings() == []
    graph.clear(desk.tenant)
    graph.close()
    database.close()


@pytest.fixture(params=["sql", pytest.param("sql-postgres", marks=pytest.mark.stack), pytest.param("neo4j", marks=pytest.mark.stack)])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    if request.param == "sql":
        yield from sql_desk(request.getfixturevalue("catalog_url"))
    elif request.param == "sql-postgres":
        yield from sql_desk(request.getfixturevalue("postgresql_url"))
    else:
        yield from neo4j_desk(request.getfixturevalue("catalog_url"), request.getfixturevalue("neo4j"))


# --- people merge and split


def test_a_merge_joins_mentions_relations_and_counts(desk: Desk) -> None:
    desk.put("a", "Aurora Pump = product: A pump; Bergen", "Aurora Pump; Ada")
    desk.put("b", "The Big One = product: The largest pump of all; Bergen")
    desk.merge("The Big One", "Aurora Pump")
    assert desk.names() == {"Aurora Pump": 3, "Bergen": 2, "Ada": 1}
    entities, relations, mentions = desk.shown()
    assert entities["Aurora Pump"][1:3] == ("product", "The largest pump of all")
    assert relations[("Aurora Pump", "Bergen"), "related"] == (2.0, "Aurora Pump with Bergen")
    assert len(mentions["Aurora Pump"]) == 3


def test_an_entity_is_found_by_any_of_its_names(desk: Desk) -> None:
    desk.put("a", "Aurora Pump; Bergen", "Aurora Pump")
    desk.put("b", "The Big One")
    desk.merge("The Big One", "Aurora Pump")
    found = desk.graph.link(desk.tenant, ["big one", "AURORA PUMP", "nobody"])
    assert {name: entity.name for name, entity in found.items()} == {"big one": "Aurora Pump", "AURORA PUMP": "Aurora Pump"}
    assert [each.name for each in desk.resolution.aliases(desk.tenant, found["big one"])] == ["The Big One"]


def test_a_search_for_entities_knows_all_their_names(desk: Desk) -> None:
    desk.put("a", "Message Queue; Broker", "Message Queue; Broker", "Message Queue")
    desk.put("b", "MQ; Broker", "MQ")
    desk.put("c", "MQTT")
    desk.merge("MQ", "Message Queue")

    def found(query: str, **page: Any) -> list[str]:
        return [item.name for item in desk.graph.entities(desk.tenant, query=query, **page).items]

    assert found("mq") == ["Message Queue", "MQTT"]
    assert found("queue") == ["Message Queue"]
    first = desk.graph.entities(desk.tenant, query="mq", limit=1)
    assert [item.name for item in first.items] == ["Message Queue"]
    assert found("mq", cursor=first.next_cursor) == ["MQTT"]
    assert found("") == ["Message Queue", "Broker", "MQTT"]
    desk.resolution.split(desk.tenant, desk.id_of("Message Queue"), ["MQ"])
    assert found("queue") == ["Message Queue"] and set(found("mq")) == {"MQ", "MQTT"}


def test_a_search_for_entities_knows_no_other_tenants_names(desk: Desk) -> None:
    desk.put("a", "Message Queue", "Message Queue", "MQ")
    other = replace(desk, tenant=TenantId(f"other-{desk.tenant}"))
    other.put("a", "Message Queue", "Message Queue", "MQ")
    other.merge("MQ", "Message Queue")
    assert [item.name for item in desk.graph.entities(desk.tenant, query="mq").items] == ["MQ"]
    assert [item.name for item in other.graph.entities(other.tenant, query="mq").items] == ["Message Queue"]
    other.remove("a")


def test_a_split_restores_exactly_what_was(desk: Desk) -> None:
    desk.put("a", "Aurora Pump = concept: A pump; Bergen", "Aurora Pump; Big One = product: It is big", "Bergen; Ada")
    desk.put("b", "Big One = product: The largest pump of all; Bergen", "BIG ONE; Ada")
    desk.put("c", "Machine 7 = machine; Big One; Aurora Pump")
    before = desk.shown()
    desk.merge("Big One", "Aurora Pump", "Machine 7", into="Machine 7")
    assert desk.names() == {"Machine 7": 5, "Bergen": 3, "Ada": 2}
    desk.resolution.split(desk.tenant, desk.id_of("Machine 7"), ["big one", "Aurora Pump"])
    assert desk.shown() == before
    desk.resolution.settle_all()
    assert desk.rows() == {"alias": 0, "spelling": 0, "definition": 0, "unsettled": 0}


def test_a_name_goes_with_what_was_merged_into_it_before(desk: Desk) -> None:
    desk.put("a", "One; Two; Three", "Three; Four", "Three", "Two; Three")
    desk.merge("One", "Two")
    desk.merge("Two", "Three")
    assert desk.names() == {"Three": 4, "Four": 1}
    desk.resolution.split(desk.tenant, desk.id_of("Three"), ["Two"])
    assert desk.names() == {"Three": 4, "Two": 2, "Four": 1}
    assert desk.id_of("One") == desk.id_of("Two")


def test_a_chain_is_undone_in_any_order(desk: Desk) -> None:
    desk.put("a", "One; Five", "Two; Five", "Three; Five", "Three")
    before = desk.shown()
    desk.merge("One", "Two", into="Two")
    desk.merge("Two", "Three", into="Three")
    desk.resolution.split(desk.tenant, desk.id_of("Three"), ["One"])
    desk.resolution.split(desk.tenant, desk.id_of("Three"), ["Two"])
    assert desk.shown() == before


def test_a_merge_holds_when_documents_come_again(desk: Desk) -> None:
    desk.put("a", "Aurora Pump; Bergen", "Aurora Pump")
    desk.put("b", "Big One; Ada")
    desk.merge("Big One", "Aurora Pump")
    after = desk.shown()
    desk.put("b", "Big One; Ada")
    assert desk.shown() == after
    desk.put("c", "Big One; Tor")
    assert desk.names() == {"Aurora Pump": 4, "Bergen": 1, "Ada": 1, "Tor": 1}


def test_a_merge_and_a_split_hold_when_the_graph_is_made_anew(desk: Desk) -> None:
    desk.put("a", "Big One; Bergen", "Aurora Pump; Ada", "Aurora Pump")
    desk.put("b", "Acme Inc = organisation; Ada", "Acme = organisation; Ada")
    desk.merge("Big One", "Aurora Pump")
    desk.resolution.split(desk.tenant, desk.id_of("Acme"), ["Acme Inc" if "Acme" in desk.names() else "Acme"])
    after = desk.shown()
    desk.maintenance.remake(("graph",), lambda *_: None)
    assert desk.shown() == after
    assert "Aurora Pump" in desk.names()


def test_what_a_person_split_is_never_merged_again(desk: Desk) -> None:
    desk.put("a", "Acme Widgets Inc = organisation; Ada", "Acme Widgets = organisation; Tor", "Acme Widgets = organisation")
    assert desk.names()["Acme Widgets"] == 3
    desk.resolution.split(desk.tenant, desk.id_of("Acme Widgets"), ["Acme Widgets Inc"])
    desk.put("a", "Acme Widgets Inc = organisation; Ada", "Acme Widgets = organisation; Tor", "Acme Widgets = organisation")
    desk.put("b", "Acme Widgets Inc = organisation", "Acme Widgets Incorporated = organisation")
    assert desk.id_of("Acme Widgets") != desk.id_of("Acme Widgets Inc")


def test_a_person_can_take_a_split_back(desk: Desk) -> None:
    desk.put("a", "Acme Widgets Inc = organisation", "Acme Widgets = organisation", "Acme Widgets = organisation")
    desk.resolution.split(desk.tenant, desk.id_of("Acme Widgets"), ["Acme Widgets Inc"])
    desk.merge("Acme Widgets", "Acme Widgets Inc")
    assert desk.names() == {"Acme Widgets": 3}


@pytest.mark.parametrize(
    "name", ['O\'Brien "x"', "{$tenant}", "`) DETACH DELETE n //", "x" * 10_000, "50%_", "a\\b", "日本 語", "'; DROP TABLE alias; --"]
)
def test_any_name_is_only_a_name(desk: Desk, name: str) -> None:
    desk.put("a", "Aurora Pump; Bergen", "Aurora Pump")
    desk.put("b", f"{name}; Ada")
    before = desk.shown()
    desk.merge(name, "Aurora Pump")
    assert desk.id_of(name) == desk.id_of("Aurora Pump")
    desk.resolution.split(desk.tenant, desk.id_of(name), [name])
    assert desk.shown() == before


def test_bad_requests_say_what_is_wrong(desk: Desk) -> None:
    desk.put("a", "Ada; Tor; Bergen")
    ada, tor, bergen = (desk.id_of(name) for name in ("Ada", "Tor", "Bergen"))
    with pytest.raises(InvalidInput, match="two entities"):
        desk.resolution.merge(desk.tenant, [ada, ada])
    with pytest.raises(NotFound, match="nowhere"):
        desk.resolution.merge(desk.tenant, [ada, EntityId("nowhere")])
    with pytest.raises(InvalidInput, match="not among"):
        desk.resolution.merge(desk.tenant, [ada, tor], into=bergen)
    with pytest.raises(NotFound, match="no entity"):
        desk.resolution.merge(TenantId("somebody-else"), [ada, tor])
    with pytest.raises(InvalidInput, match="Nothing was merged"):
        desk.resolution.split(desk.tenant, ada, ["Tor"])
    with pytest.raises(InvalidInput, match="goes by"):
        desk.resolution.split(desk.tenant, ada, ["ADA"])
    with pytest.raises(InvalidInput, match="No name"):
        desk.resolution.split(desk.tenant, ada, [])
    with pytest.raises(NotFound):
        desk.resolution.split(TenantId("somebody-else"), ada, ["Tor"])


# --- the machine merges, and takes back


def test_an_abbreviation_means_what_a_document_says(desk: Desk) -> None:
    desk.put("a", "MQ; Ada")
    desk.put("b", "The Message Queue (MQ) was; Tor", "Message Queue; Bergen", "Message Queue")
    assert desk.id_of("MQ") == desk.id_of("Message Queue")
    assert desk.names()["Message Queue"] == 3


def test_a_merge_goes_with_the_only_document_that_justified_it(desk: Desk) -> None:
    desk.put("a", "MQ; Ada")
    desk.put("c", "Message Queue; Bergen", "Message Queue")
    before = desk.shown()
    desk.put("b", "Tor\nlegend Message Queue (MQ)")
    assert desk.names()["Message Queue"] == 3
    desk.remove("b")
    assert desk.shown() == before
    assert desk.rows() == {"alias": 0, "spelling": 0, "definition": 0, "unsettled": 0}


def test_an_abbreviation_of_two_things_is_of_neither(desk: Desk) -> None:
    desk.put("a", "PR; Ada\nsee Public Relations (PR)", "Public Relations; Ada")
    assert desk.id_of("PR") == desk.id_of("Public Relations")
    desk.put("b", "Pull Request; Tor\nsee Pull Request (PR)")
    assert len({desk.id_of(name) for name in ("PR", "Public Relations", "Pull Request")}) == 3
    desk.remove("b")
    assert desk.id_of("PR") == desk.id_of("Public Relations")


def test_no_entity_goes_by_a_name_that_only_a_deleted_document_had(desk: Desk) -> None:
    desk.put("a", "Acme Widgets Inc = organisation; Ada", "Acme Widgets Inc = organisation")
    desk.put("b", "Acme Widgets = organisation; Tor")
    assert desk.names() == {"Acme Widgets Inc": 3, "Ada": 1, "Tor": 1}
    desk.remove("a")
    assert desk.names() == {"Acme Widgets": 1, "Tor": 1}
    assert desk.rows() == {"alias": 0, "spelling": 0, "definition": 0, "unsettled": 0}


def test_an_alias_that_no_document_has_is_forgotten(desk: Desk) -> None:
    desk.put("a", "Acme Widgets Inc = organisation; Ada", "Acme Widgets Inc = organisation")
    desk.put("b", "Acme Widgets = organisation; Tor")
    desk.remove("b")
    assert desk.names() == {"Acme Widgets Inc": 2, "Ada": 1}
    assert desk.rows() == {"alias": 0, "spelling": 0, "definition": 0, "unsettled": 0}


def test_names_that_only_look_alike_stay_apart(desk: Desk) -> None:
    pairs = [
        ("Paris", "Paris, Texas"),
        ("Python 2", "Python 3"),
        ("Henry IV", "Henry V"),
        ("Acme Ltd", "Acme GmbH"),
        ("J. Smith", "K. Smith"),
    ]
    desk.put("a", *("; ".join(pair) for pair in pairs))
    for one, other in pairs:
        assert desk.id_of(one) != desk.id_of(other)


def test_what_names_leave_open_is_told_by_their_neighbours(desk: Desk) -> None:
    desk.put("a", "Kubernetes = technology; Pod\nKubernetes; Node Pool\nKubernetes; Control Plane")
    desk.put("b", "Kubernets = technology; Pod\nKubernets; Node Pool\nKubernets; Control Plane", "Kubernetis = technology; Dinner")
    assert desk.id_of("Kubernets") == desk.id_of("Kubernetes")
    assert desk.id_of("Kubernetis") != desk.id_of("Kubernetes")


def test_an_llm_is_asked_once_about_what_nothing_else_tells(desk: Desk) -> None:
    desk.judge.same_names = {frozenset(("Royal Kubernetes Lathe", "Royal Kubernets Lathe"))}
    desk.put("a", "Royal Kubernetes Lathe; Ada", "Hansen Brothers Label; Tor")
    desk.put("b", "Royal Kubernets Lathe; Bergen", "Hansen Brothers Lebel; Oslo")
    assert desk.id_of("Royal Kubernetes Lathe") == desk.id_of("Royal Kubernets Lathe")
    assert desk.id_of("Hansen Brothers Label") != desk.id_of("Hansen Brothers Lebel")
    asked = len(desk.judge.asked)
    assert asked == 2
    for n in range(4):
        desk.put(f"again {n}", "Hansen Brothers Lebel; Oslo")
    assert len(desk.judge.asked) == asked


# --- kills


def test_what_a_kill_left_is_settled_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("a", "Acme Widgets Inc = organisation; Ada", "Acme Widgets Inc = organisation", settle=False)
    desk.put("b", "Acme Widgets = organisation; Tor", settle=False)
    monkeypatch.setattr(Resolution, "_tell", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        desk.resolution.settle(desk.tenant)
    monkeypatch.undo()
    assert desk.names()["Acme Widgets"] == 1
    desk.resolution.settle_all()
    assert desk.names() == {"Acme Widgets Inc": 3, "Ada": 1, "Tor": 1}
    assert desk.rows()["unsettled"] == 0


def test_a_long_change_is_done_piece_by_piece(desk: Desk) -> None:
    desk.put("a", *("Aurora Pump" for _ in range(6)))
    desk.put("b", *("Big One; Ada" for _ in range(5)))
    aurora, big = desk.id_of("Aurora Pump"), desk.id_of("Big One")
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr("localmind.ingest.resolution.CHUNKS_A_CALL", 2)
        assert desk.resolution.merge(desk.tenant, [aurora, big]).left == 3
    assert desk.names() == {"Aurora Pump": 8, "Big One": 3, "Ada": 5}
    assert desk.resolution.settle(desk.tenant, chunks=1) == 2
    desk.resolution.settle_all()
    assert desk.names() == {"Aurora Pump": 11, "Ada": 5}


def test_a_name_that_stands_where_it_does_not_belong_is_found_and_mended(desk: Desk) -> None:
    desk.put("a", "Aurora Pump; Bergen", "Aurora Pump")
    desk.put("b", "Big One; Ada")
    desk.merge("Big One", "Aurora Pump")
    said = desk.resolution._extractions.said(desk.tenant, [ChunkId(f"{desk.tenant}-b-0")])
    with desk.store.transaction_of(desk.tenant, desk.graph):
        desk.graph.write(desk.tenant, said)  # as if by somebody who does not know the merges
    wrong = entity_id(desk.tenant, entity_key("Big One"))
    assert [finding.id for finding in desk.findings()] == [wrong]  # type: ignore[attr-defined]
    list(desk.maintenance._check_names(desk.tenant, fix=True))
    assert desk.names() == {"Aurora Pump": 3, "Bergen": 1, "Ada": 1}


def test_two_that_note_a_chunk_at_once_do_not_hinder_each_other(desk: Desk) -> None:
    desk.put("a", "Message Queue; Bergen", settle=False)
    noted = {ChunkId(f"{desk.tenant}-a-0"): Noted({"mq": "message queue"}, [Meant("mq", "MQ", "message queue", "Message Queue")])}
    aliases = desk.store.naming.aliases
    with ThreadPoolExecutor(1) as other:
        with desk.database.write():
            aliases.note(desk.tenant, noted)
            later = other.submit(aliases.note, desk.tenant, noted)
            with pytest.raises(TimeoutError):
                later.result(0.3)
        later.result(30)
    assert (desk.rows()["spelling"], desk.rows()["definition"]) == (1, 1)
    with desk.database.write():
        aliases.forget(desk.tenant, list(noted))
    desk.resolution.settle(desk.tenant)
