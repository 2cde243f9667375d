"""Communities over REST, and the mode that answers from them."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from localmind.model import PERSONAL
from tests.unit.backend.asking import events, problem_of


@pytest.fixture
def theme(client: TestClient, handbook: dict[str, Any]) -> dict[str, Any]:
    """The largest theme of the handbook's base."""
    client.app.state.service.mind.communities.update(PERSONAL)  # type: ignore[attr-defined]
    found: list[dict[str, Any]] = client.get("/api/v1/graph/communities?level=0").json()["items"]
    assert found
    return found[0]


def test_a_theme_has_words_members_and_sources(client: TestClient, theme: dict[str, Any]) -> None:
    assert theme["title"] and theme["summary"] and theme["entities"] and theme["sources"]
    assert theme["level"] == 0 and theme["parent_id"] is None and theme["size"] >= 3
    assert client.get(f"/api/v1/graph/communities/{theme['id']}").json() == theme


def test_the_list_goes_on_with_its_cursor(client: TestClient, theme: dict[str, Any]) -> None:
    everything = client.get("/api/v1/graph/communities").json()["items"]
    found, cursor = [], None
    while cursor is not None or not found:
        page = client.get("/api/v1/graph/communities", params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
        found += page["items"]
        cursor = page["next_cursor"]

    assert found == everything
    assert [one["mentions"] for one in found] == sorted((one["mentions"] for one in found), reverse=True)
    assert client.get("/api/v1/graph/communities", params={"parent": theme["id"]}).status_code == 200


@pytest.mark.parametrize("path", ["nobody", "..%2F", "a'; DROP TABLE community"])
def test_an_unknown_theme_is_not_found(client: TestClient, path: str) -> None:
    problem_of(client.get(f"/api/v1/graph/communities/{path}"), 404)


def test_bad_levels_and_cursors_are_refused(client: TestClient) -> None:
    problem_of(client.get("/api/v1/graph/communities?level=-1"), 422)
    problem_of(client.get("/api/v1/graph/communities?cursor=abc"), 400)


def test_search_and_chat_take_the_mode(client: TestClient, theme: dict[str, Any]) -> None:
    hits = client.post("/api/v1/search", json={"query": "soup", "mode": "global"}).json()["hits"]
    assert hits and hits[0]["ranks"] == {"vector": None, "text": None, "graph": None}
    answer = client.post("/api/v1/chat", json={"message": "What are the main themes?"}).json()
    assert theme["title"] in answer["answer"] and answer["citations"]


def test_a_stream_tells_the_same(client: TestClient, theme: dict[str, Any]) -> None:
    with client.stream("POST", "/api/v1/chat/stream", json={"message": "Tell me of everything", "mode": "global"}) as response:
        found = list(events(response.iter_lines()))
    said = "".join(data["text"] for name, data in found if name == "token")
    assert found[-1][0] == "done"
    assert found[-1][1]["answer"] == said
    assert len(said.splitlines()) > 1
