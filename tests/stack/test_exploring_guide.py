"""Every query of docs/guides/exploring-the-graph.md runs, and finds what it says it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localmind.graph.neo4j import Neo4jGraph
from localmind.graph.port import ChunkExtraction
from localmind.ids import random_id
from localmind.model import Chunk, ChunkId, ExtractedEntity, ExtractedRelation, Extraction, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from localmind.neo4j.asking import ask
from localmind.text.neo4j import Neo4jText
from localmind.text.port import TitledChunk
from tests.neo4j_server import neo4j_driver  # noqa: F401 - a fixture

pytestmark = pytest.mark.stack

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "exploring-the-graph.md").read_text()
QUERIES: dict[str, str] = {
    section.partition("\n")[0]: query
    for section in PAGE.split("\n## ")[1:]
    for query in re.findall(r"```cypher\n(.*?)```", section, re.DOTALL)
}

DOCUMENTS = {
    "Engines": [
        ("Ada Lovelace wrote of the engine.", ["Ada Lovelace", "Engine"], [("Ada Lovelace", "Engine")]),
        ("The engine reads a punched card.", ["Engine", "Punched Card"], [("Engine", "Punched Card")]),
        ("The loom was first.", ["Loom"], []),
    ],
    "Looms": [
        ("The loom reads a punched card.", ["Loom", "Punched Card"], [("Loom", "Punched Card")]),
        ("Jacquard made the loom.", ["Jacquard", "Loom"], [("Jacquard", "Loom")]),
    ],
    "Poets": [("Byron was the father of Ada Lovelace.", ["Byron", "Ada Lovelace"], [("Byron", "Ada Lovelace")])],
}


@pytest.fixture(scope="module")
def tenant(neo4j: Neo4jDriver) -> Iterator[TenantId]:
    tenant = TenantId(f"guide-{random_id()}")
    graph, text = Neo4jGraph(neo4j), Neo4jText(neo4j)
    for title, parts in DOCUMENTS.items():
        source = SourceId(title.lower())
        ids = [ChunkId(f"{source}-{n}") for n in range(len(parts))]
        text.write(
            tenant, [TitledChunk(title, Chunk(ids[n], source, n, words, 0, len(words), n + 1)) for n, (words, _, _) in enumerate(parts)]
        )
        said = [
            Extraction(tuple(map(ExtractedEntity, names)), tuple(ExtractedRelation(*pair) for pair in pairs)) for _, names, pairs in parts
        ]
        graph.write(tenant, [ChunkExtraction(source, id_, what) for id_, what in zip(ids, said, strict=True)])
        graph.arrange(tenant, {source: ids})
    yield tenant
    graph.clear(tenant)
    text.clear(tenant)


def answer(neo4j: Neo4jDriver, tenant: TenantId, heading: str) -> list[dict[str, Any]]:
    """Asked as POST /api/v1/graph/cypher asks, so that the page's queries may be sent there."""
    columns, rows, _ = ask(neo4j, tenant, QUERIES[heading], {"name": "ada lovelace", "other": "punched card"})
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_the_page_has_its_queries() -> None:
    assert len(QUERIES) == PAGE.count("```cypher") >= 12


@pytest.mark.parametrize("heading", QUERIES)
def test_a_query_of_the_page_runs_and_finds_something(neo4j: Neo4jDriver, tenant: TenantId, heading: str) -> None:
    found = answer(neo4j, tenant, heading)
    nothing_to_find = ("Which entities are in no document any more?", "Where is a relation said?")
    assert (found == []) is (heading in nothing_to_find)


def test_what_is_shared_central_strong_and_between_is_found(neo4j: Neo4jDriver, tenant: TenantId) -> None:
    shared = {(row["document"], row["other"]): row["entities"] for row in answer(neo4j, tenant, "Which documents share entities?")}
    assert shared.keys() == {("Engines", "Looms"), ("Engines", "Poets")}
    assert set(shared["Engines", "Looms"]) == {"Loom", "Punched Card"}
    central = answer(neo4j, tenant, "Which entities are the most central?")
    assert {row["entity"] for row in central if row["neighbours"] == 2} == {"Ada Lovelace", "Engine", "Punched Card", "Loom"}
    path = answer(neo4j, tenant, "How are two entities connected?")[0]["p"]
    assert [node["properties"]["name"] for node in path["nodes"]] == ["Ada Lovelace", "Engine", "Punched Card"]


def test_what_is_read_is_in_reading_order(neo4j: Neo4jDriver, tenant: TenantId) -> None:
    said = answer(neo4j, tenant, "What does a document say of an entity, in reading order?")
    assert [(row["document"], row["page"]) for row in said] == [("Engines", 1), ("Poets", 1)]
    around = {row["text"]: row["after"] for row in answer(neo4j, tenant, "What stands around a mention?")}
    assert around["Ada Lovelace wrote of the engine."] == "The engine reads a punched card."
    whole = {row["document"]: row["texts"] for row in answer(neo4j, tenant, "How do I read a document from its beginning?")}
    assert whole == {title: [words for words, _, _ in parts] for title, parts in DOCUMENTS.items()}


def test_what_one_document_alone_speaks_of_is_counted(neo4j: Neo4jDriver, tenant: TenantId) -> None:
    found = answer(neo4j, tenant, "Which documents brought the most entities of their own?")
    assert {row["document"]: (row["entities"], row["only_here"]) for row in found} == {"Engines": (4, 1), "Looms": (3, 1), "Poets": (2, 1)}


def test_an_entity_whose_chunks_are_gone_is_named(neo4j: Neo4jDriver, tenant: TenantId) -> None:
    neo4j.write(lambda tx: tx.run("CREATE (:Entity {tenant: $t, id: 'lost', key: 'lost', name: 'Lost', mentions: 1})", t=tenant).consume())
    assert [row["entity"] for row in answer(neo4j, tenant, "Which entities are in no document any more?")] == ["Lost"]
    neo4j.write(lambda tx: tx.run("MATCH (e:Entity {tenant: $t, id: 'lost'}) DELETE e", t=tenant).consume())
