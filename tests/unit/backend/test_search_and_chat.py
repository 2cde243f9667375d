"""Search, chat, conversations and the graph over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unit.backend.asking import events, problem_of

pytestmark = pytest.mark.usefixtures("handbook")


def text_of(client: TestClient, source_id: str) -> str:
    return str(client.get(f"/api/v1/sources/{source_id}/text").json()["text"])


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text", "graph"])
def test_every_mode_finds_the_passage(client: TestClient, handbook: dict[str, Any], mode: str) -> None:
    answer = client.post("/api/v1/search", json={"query": "How long does the leek soup simmer?", "mode": mode, "limit": 3})
    assert answer.status_code == 200
    hits = answer.json()["hits"]
    assert hits and len(hits) <= 3
    best = hits[0]
    assert best["source_id"] == handbook["source_id"] and best["title"] == "Handbook"
    assert text_of(client, best["source_id"])[best["start"] : best["end"]] == best["text"]
    assert set(best["ranks"]) == {"vector", "text", "graph"}


def test_search_keeps_to_sources_and_tags(client: TestClient, handbook: dict[str, Any]) -> None:
    ask = {"query": "leek soup"}
    assert client.post("/api/v1/search", json={**ask, "tags": ["kitchen"]}).json()["hits"]
    assert client.post("/api/v1/search", json={**ask, "source_ids": [handbook["source_id"]]}).json()["hits"]
    assert client.post("/api/v1/search", json={**ask, "tags": ["garden"]}).json()["hits"] == []
    assert client.post("/api/v1/search", json={**ask, "source_ids": []}).json()["hits"] == []
    assert client.post("/api/v1/search", json={**ask, "source_ids": ["unknown"]}).json()["hits"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.query"),
        ({"query": ""}, "body.query"),
        ({"query": "a\0b"}, "body.query"),
        ({"query": "x" * 4001}, "body.query"),
        ({"query": "x", "mode": "magic"}, "body.mode"),
        ({"query": "x", "limit": 0}, "body.limit"),
        ({"query": "x", "limit": 101}, "body.limit"),
        ({"query": "x", "limit": 1.5}, "body.limit"),
        ({"query": "x", "source_ids": "abc"}, "body.source_ids"),
        ({"query": "x", "source_ids": ["' OR 1=1"]}, "body.source_ids.0"),
        ({"query": "x", "tags": [7]}, "body.tags.0"),
        ({"query": "x", "filter": {}}, "body.filter"),
    ],
)
def test_a_malformed_search_is_refused(client: TestClient, body: dict[str, Any], field: str) -> None:
    assert problem_of(client.post("/api/v1/search", json=body), 422)["errors"][0]["field"] == field


@pytest.mark.parametrize("query", ['"', "*", "NEAR(", "-", "AND OR NOT", "col:val", "%", "\\", "🍞", "١٢", "\u202e", "a" * 4000])
def test_any_words_are_a_query(client: TestClient, query: str) -> None:
    for mode in ("hybrid", "text", "graph"):
        assert client.post("/api/v1/search", json={"query": query, "mode": mode}).status_code == 200


def test_a_lone_surrogate_is_refused(client: TestClient) -> None:
    for path, body in (("search", b'{"query": "\\ud800"}'), ("chat", b'{"message": "\\udfff x"}')):
        problem_of(client.post(f"/api/v1/{path}", content=body, headers={"Content-Type": "application/json"}), 422)


# --- chat


def test_an_answer_cites_what_stands_in_the_text(client: TestClient) -> None:
    answer = client.post("/api/v1/chat", json={"message": "How long does the leek soup simmer?"}).json()
    assert "twenty minutes" in answer["answer"] and "[1]" in answer["answer"]
    assert answer["citations"]
    for citation in answer["citations"]:
        assert text_of(client, citation["source_id"])[citation["start"] : citation["end"]] == citation["quote"]


def test_the_stream_is_the_answer_in_pieces(client: TestClient) -> None:
    with client.stream("POST", "/api/v1/chat/stream", json={"message": "How long does sourdough bread rest?"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = list(events(response.iter_lines()))
    names = [name for name, _ in told]
    assert names[-2:] == ["citations", "done"] and set(names[:-2]) == {"token"}
    done = told[-1][1]
    assert "".join(data["text"] for name, data in told if name == "token") == done["answer"]
    assert told[-2][1]["citations"] == done["citations"]
    assert client.get(f"/api/v1/conversations/{done['conversation_id']}").status_code == 200


@pytest.mark.parametrize("path", ["chat", "chat/stream"])
def test_an_unknown_conversation_is_a_problem_before_any_event(client: TestClient, path: str) -> None:
    problem_of(client.post(f"/api/v1/{path}", json={"message": "Hello?", "conversation_id": "unknown"}), 404)


@pytest.mark.parametrize("path", ["chat", "chat/stream"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": " "},
        {"message": "a\0"},
        {"message": "x" * 10_001},
        {"message": "x", "mode": "x"},
        {"message": "x", "conversation_id": "a b"},
    ],
)
def test_a_malformed_question_is_refused(client: TestClient, path: str, body: dict[str, Any]) -> None:
    problem_of(client.post(f"/api/v1/{path}", json=body), 422)


# --- conversations


def ask(client: TestClient, message: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/api/v1/chat", json={"message": message, **more}).json()
    return answer


def test_a_conversation_is_kept_and_goes_on(client: TestClient) -> None:
    first = ask(client, "What makes the leek soup thick?")
    ask(client, "And how long does it simmer?", conversation_id=first["conversation_id"])
    kept = client.get(f"/api/v1/conversations/{first['conversation_id']}").json()
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant"] * 2
    assert kept["messages"][1]["citations"] == first["citations"]
    listed = client.get("/api/v1/conversations").json()["items"]
    assert listed[0]["conversation_id"] == first["conversation_id"] and "messages" not in listed[0]


def test_a_conversation_can_be_renamed_exported_and_deleted(client: TestClient) -> None:
    path = f"/api/v1/conversations/{ask(client, 'What does sourdough bread need?')['conversation_id']}"
    assert client.patch(path, json={"title": "About bread"}).json()["title"] == "About bread"
    exported = client.get(f"{path}/export")
    assert exported.headers["content-disposition"].startswith("attachment;") and json.loads(exported.text)["title"] == "About bread"
    markdown = client.get(f"{path}/export", params={"format": "markdown"})
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8" and markdown.text.startswith("# About bread")
    assert client.delete(path).status_code == 204
    for call in (client.get(path), client.delete(path), client.patch(path, json={"title": "x"}), client.get(f"{path}/export")):
        problem_of(call, 404)


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": " "}, {"title": "x" * 201}, {"title": "a\0"}, {"name": "x"}])
def test_a_malformed_rename_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    problem_of(client.patch("/api/v1/conversations/any", json=body), 422)


def test_an_unknown_format_is_refused(client: TestClient) -> None:
    problem_of(client.get("/api/v1/conversations/any/export", params={"format": "docx"}), 422)


# --- graph


@pytest.fixture(scope="module")
def entity(client: TestClient) -> dict[str, Any]:
    """The most mentioned entity that has a neighbour."""
    for found in client.get("/api/v1/graph/entities").json()["items"]:
        if client.get(f"/api/v1/graph/entities/{found['id']}/neighbors").json()["items"]:
            entity: dict[str, Any] = found
            return entity
    pytest.fail("no entity has a neighbour")


def test_entities_are_found_by_name_and_id(client: TestClient, entity: dict[str, Any]) -> None:
    assert client.get(f"/api/v1/graph/entities/{entity['id']}").json() == entity | {"aliases": [], "statements": []}
    found = client.get("/api/v1/graph/entities", params={"q": entity["name"].upper()}).json()["items"]
    assert entity in found


def test_entities_are_merged_and_split_again(client: TestClient, entity: dict[str, Any]) -> None:
    other = client.get(f"/api/v1/graph/entities/{entity['id']}/neighbors").json()["items"][0]["entity"]
    path = "/api/v1/graph/entities"
    merged = client.post(f"{path}/merge", json={"ids": [other["id"], entity["id"]], "into": entity["id"]}).json()
    assert merged["pending"] == 0
    assert [(one["id"], [alias["name"] for alias in one["aliases"]]) for one in merged["items"]] == [(entity["id"], [other["name"]])]
    assert merged["items"][0]["aliases"][0] | {"name": ""} == {"name": "", "why": "person", "by": "person", "score": 1.0}
    problem_of(client.get(f"{path}/{other['id']}"), 404)
    parted = client.post(f"{path}/split", json={"id": entity["id"], "names": [other["name"]]}).json()
    assert [one | {"aliases": [], "statements": []} for one in parted["items"]] == [
        one | {"aliases": [], "statements": []} for one in (entity, other)
    ]
    assert all(client.get(f"{path}/{one['id']}").json()["mentions"] == one["mentions"] for one in (entity, other))


@pytest.mark.parametrize(
    ("call", "body", "status"),
    [
        ("merge", {"ids": ["unknown-1", "unknown-2"]}, 404),
        ("merge", {"ids": ["one"]}, 422),
        ("merge", {"ids": ["one", "one"]}, 400),
        ("merge", {"ids": ["one", "' OR 1=1"]}, 422),
        ("merge", {"ids": ["one", "two"], "inot": "one"}, 422),
        ("split", {"id": "unknown", "names": ["x"]}, 404),
        ("split", {"id": "unknown", "names": []}, 422),
        ("split", {"id": "unknown", "names": [" "]}, 422),
        ("split", {"id": "unknown", "names": ["\u0000"]}, 422),
    ],
)
def test_what_cannot_be_merged_or_split_is_refused(client: TestClient, call: str, body: dict[str, Any], status: int) -> None:
    problem_of(client.post(f"/api/v1/graph/entities/{call}", json=body), status)


def test_a_name_that_the_entity_lacks_cannot_be_split_off(client: TestClient, entity: dict[str, Any]) -> None:
    for name in ("{$x} \"'` DETACH DELETE", "x" * 10_000, entity["name"]):
        problem_of(client.post("/api/v1/graph/entities/split", json={"id": entity["id"], "names": [name]}), 400)


def test_neighbours_are_one_relation_away_and_heaviest_first(client: TestClient, entity: dict[str, Any]) -> None:
    items = client.get(f"/api/v1/graph/entities/{entity['id']}/neighbors").json()["items"]
    assert all(entity["id"] in (item["relation"]["source"], item["relation"]["target"]) for item in items)
    weights = [item["relation"]["weight"] for item in items]
    assert weights == sorted(weights, reverse=True)


def test_there_is_a_path_to_a_neighbour(client: TestClient, entity: dict[str, Any]) -> None:
    neighbour = client.get(f"/api/v1/graph/entities/{entity['id']}/neighbors").json()["items"][0]["entity"]
    path = client.get("/api/v1/graph/path", params={"source": entity["id"], "target": neighbour["id"]}).json()
    assert [one["id"] for one in path["entities"]] == [entity["id"], neighbour["id"]] and len(path["relations"]) == 1


def test_the_subgraph_holds_its_relations_ends(client: TestClient, entity: dict[str, Any]) -> None:
    for params in ({}, {"center": entity["id"], "limit": 5}):
        graph = client.get("/api/v1/graph/subgraph", params=params).json()
        ids = {one["id"] for one in graph["entities"]}
        assert ids and all({relation["source"], relation["target"]} <= ids for relation in graph["relations"])


@pytest.mark.parametrize(
    "path",
    [
        "entities/unknown",
        "entities/%00",
        "entities/unknown/neighbors",
        "path?source=unknown&target=unknown",
        "path?source=%00&target=x",
        "subgraph?center=unknown",
    ],
)
def test_an_unknown_entity_is_not_found(client: TestClient, path: str) -> None:
    problem_of(client.get(f"/api/v1/graph/{path}"), 404)


@pytest.mark.parametrize("path", ["path", "path?source=a", "path?source=a&target=b&max_hops=99", "subgraph?limit=0", "entities?q=a%00b"])
def test_a_malformed_question_about_the_graph_is_refused(client: TestClient, path: str) -> None:
    problem_of(client.get(f"/api/v1/graph/{path}"), 422)
