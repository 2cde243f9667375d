"""What localmind/communities/port.py promises, over every adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.tables import chunk
from localmind.communities.neo4j import Neo4jNetwork
from localmind.communities.port import EntityNetwork, Link, Shown
from localmind.communities.sql import SqlNetwork
from localmind.graph.neo4j import Neo4jGraph
from localmind.graph.port import ChunkExtraction, Graph
from localmind.graph.sql import SqlGraph
from localmind.ids import random_id
from localmind.model import (
    ChunkId,
    Community,
    CommunityId,
    EntityId,
    ExtractedEntity,
    ExtractedRelation,
    Extraction,
    SourceId,
    TenantId,
)
from localmind.neo4j import Neo4jDriver
from tests.neo4j_server import neo4j_driver  # noqa: F401 - a fixture
from tests.postgresql_server import catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

ACME = TenantId(f"acme-{random_id()}")
OTHER = TenantId(f"other-{random_id()}")
CHUNKS = ("c1", "c2", "c3")


@dataclass
class Place:
    graph: Graph
    network: EntityNetwork
    driver: Neo4jDriver | None = None


def in_catalog(url: str) -> Iterator[Place]:
    database = Database(url)
    with database.write() as connection:
        rows = [
            {"id": f"{id_}-{tenant}", "tenant": tenant, "source_id": "s", "since": 1, "ordinal": 0, "start": 0, "end": 1}
            for tenant in (ACME, OTHER)
            for id_ in CHUNKS
        ]
        connection.execute(sa.insert(chunk), [{**row, "heading": "", "text": ""} for row in rows])
    yield Place(SqlGraph(database), SqlNetwork(database))
    database.close()


def in_neo4j(driver: Neo4jDriver) -> Iterator[Place]:
    place = Place(Neo4jGraph(driver), Neo4jNetwork(driver), driver)
    yield place
    for tenant in (ACME, OTHER):
        place.network.hide_all(tenant)
        place.graph.clear(tenant)
    assert driver.rows("MATCH (n) WHERE n.tenant IN $tenants RETURN count(n)", tenants=[ACME, OTHER])[0][0] == 0


@pytest.fixture(params=["sql", pytest.param("sql-postgres", marks=pytest.mark.stack), pytest.param("neo4j", marks=pytest.mark.stack)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "sql":
        made = in_catalog(request.getfixturevalue("catalog_url"))
    elif request.param == "sql-postgres":
        made = in_catalog(request.getfixturevalue("postgresql_url"))
    else:
        made = in_neo4j(request.getfixturevalue("neo4j"))
    for each in made:
        write(each.graph, ACME, "c1", "Leek", "Soup", "Stock")
        write(each.graph, ACME, "c2", "Leek", "Soup")
        write(each.graph, OTHER, "c1", "Leek", "Pump")
        yield each


def write(graph: Graph, tenant: TenantId, id_: str, first: str, *others: str) -> None:
    """A chunk that relates the first name to each of the others."""
    entities = tuple(ExtractedEntity(name) for name in (first, *others))
    relations = tuple(ExtractedRelation(first, other, weight=2.0) for other in others)
    graph.write(tenant, [ChunkExtraction(SourceId("s"), ChunkId(f"{id_}-{tenant}"), Extraction(entities, relations))])


def ids(place: Place, *names: str, tenant: TenantId = ACME) -> list[EntityId]:
    found = place.graph.link(tenant, names)
    return [found[name].id for name in names]


def ends(link: Link) -> frozenset[EntityId]:
    return frozenset((link.source, link.target))


def test_every_entity_of_the_tenant_is_counted_once(place: Place) -> None:
    found = [each for batch in place.network.entities(ACME) for each in batch]

    leek, soup, stock = ids(place, "Leek", "Soup", "Stock")
    assert sorted(found) == sorted([(leek, 2), (soup, 2), (stock, 1)])


def test_all_entities_leave_every_relation_once(place: Place) -> None:
    everyone = ids(place, "Leek", "Soup", "Stock")
    found = [link for batch in place.network.leaving(ACME, everyone) for link in batch]

    leek, soup, stock = everyone
    assert sorted((sorted(ends(link)), link.weight) for link in found) == sorted(
        [(sorted((leek, soup)), 4.0), (sorted((leek, stock)), 2.0)]
    )


@pytest.mark.parametrize("names", [("Soup",), ("Leek",), ("Leek", "Soup"), ("Soup", "Stock")])
def test_relations_that_touch_come_once_from_whichever_end(place: Place, names: tuple[str, ...]) -> None:
    asked = ids(place, *names)
    everything = [link for batch in place.network.leaving(ACME, ids(place, "Leek", "Soup", "Stock")) for link in batch]
    found = [link for batch in place.network.touching(ACME, asked) for link in batch]

    assert sorted(found) == sorted(link for link in everything if ends(link) & set(asked))


def test_relations_among_some_have_both_ends_there(place: Place) -> None:
    leek, soup, stock = ids(place, "Leek", "Soup", "Stock")

    assert [(ends(link), link.weight) for link in place.network.among(ACME, [leek, soup])] == [(frozenset((leek, soup)), 4.0)]
    assert place.network.among(ACME, [soup, stock]) == []
    assert place.network.among(ACME, []) == []


def test_another_tenant_sees_none_of_them(place: Place) -> None:
    leek, soup = ids(place, "Leek", "Soup")

    assert [link for batch in place.network.touching(OTHER, [leek, soup]) for link in batch] == []
    assert place.network.among(OTHER, [leek, soup]) == []
    assert list(place.network.entities(TenantId("nobody"))) == []


def community(id_: str, *, level: int = 0, parent: str | None = None) -> Community:
    above = None if parent is None else CommunityId(parent)
    return Community(CommunityId(id_), level, above, 3, 5, f"Title of {id_}", "Says.", (), (), "", datetime.now(UTC))


def shown(place: Place) -> list[tuple[str, str | None, list[str]]]:
    """Each community with its parent and its own entities, as they lie in the server."""
    assert place.driver is not None
    rows = place.driver.rows(
        "MATCH (c:Community {tenant: $tenant}) RETURN c.title AS title, [(c)-[:PART_OF]->(p:Community) | p.title] AS above,"
        " COLLECT { MATCH (e:Entity)-[:PART_OF]->(c) RETURN e.name ORDER BY e.name } AS names ORDER BY title",
        tenant=ACME,
    )
    return [(row["title"], next(iter(row["above"]), None), row["names"]) for row in rows]


def test_communities_are_shown_where_people_explore_the_graph(place: Place) -> None:
    leek, soup, stock = ids(place, "Leek", "Soup", "Stock")
    coarse, fine = community("coarse"), community("fine", level=1, parent="coarse")
    for _ in range(2):  # as after a kill
        place.network.show(ACME, [Shown(coarse, [stock]), Shown(fine, [leek, soup])], ())
    if place.driver is None:
        return  # the catalog has them
    assert shown(place) == [("Title of coarse", None, ["Stock"]), ("Title of fine", "Title of coarse", ["Leek", "Soup"])]

    place.network.show(ACME, [Shown(replace(fine, parent_id=None, level=0), [soup])], [coarse.id])
    assert shown(place) == [("Title of fine", None, ["Soup"])]

    place.network.hide_all(OTHER)
    assert len(shown(place)) == 1
    place.network.hide_all(ACME)
    assert shown(place) == []
    assert place.graph.count_entities(ACME) == 3
