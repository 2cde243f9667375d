"""What an LLM does for documents, over HTTP: its cost, its evidence, and asking again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.settings import Settings
from tests.llm_server import LLMServer
from tests.unit.backend.asking import problem_of, wait_for_job, wait_until_ready

TEXT = "The Kestrel turbine drives the northern pump.\n\nIts old housing was made in Portsmouth."
FOUND = {
    "entities": [
        {"name": "Kestrel turbine", "type": "product", "description": "Drives a pump."},
        {"name": "Kestrel housing", "type": "product", "description": "Made in Portsmouth.", "quote": "Its old housing"},
        {"name": "Made up", "type": "concept", "description": "Stands nowhere."},
    ],
    "relations": [],
}


@pytest.fixture
def served(tmp_path: Path, settings_for: Callable[..., Settings], llm_server: LLMServer) -> Iterator[TestClient]:
    changes = {"llm_model": "scripted", "llm_base_url": llm_server.base_url, "llm_price_input": 1.0, "llm_budget_cost": 5.0}
    app = create_app(settings_for(tmp_path / "lm", job_attempts=1, **changes))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def put(client: TestClient) -> tuple[dict[str, Any], dict[str, Any]]:
    accepted = client.post("/api/v1/sources/text", json={"title": "Pumps", "text": TEXT}).json()
    return accepted, wait_for_job(client, accepted)


def test_job_and_usage_say_what_it_cost(served: TestClient, llm_server: LLMServer) -> None:
    llm_server.always(FOUND)

    _, job = put(served)
    usage = served.get("/api/v1/usage").json()

    assert job["usage"]["calls"] == usage["calls"] == 1
    assert job["usage"]["prompt_tokens"] == usage["prompt_tokens"] > 100
    assert usage["cost"] == pytest.approx(usage["prompt_tokens"] / 1e6)
    assert usage["budget_cost"] == 5.0 and usage["budget_tokens"] is None
    assert usage["since"][8:10] == usage["until"][8:10] == "01"


def test_an_entity_is_traced_to_where_it_stands(served: TestClient, llm_server: LLMServer) -> None:
    llm_server.always(FOUND)
    accepted, _ = put(served)
    text = served.get(f"/api/v1/sources/{accepted['source_id']}/text").json()["text"]
    entities = {one["name"]: one["id"] for one in served.get("/api/v1/graph/entities").json()["items"]}

    told = {name: served.get(f"/api/v1/graph/entities/{id_}/mentions").json()["items"][0] for name, id_ in entities.items()}

    assert told["Kestrel turbine"]["quote"] == "Kestrel turbine"
    assert told["Kestrel housing"]["quote"] == "Its old housing"
    assert told["Made up"]["quote"] is None
    for name in ("Kestrel turbine", "Kestrel housing"):
        assert text[told[name]["start"] : told[name]["end"]] == told[name]["quote"]
        assert told[name]["source_id"] == accepted["source_id"]
    assert told["Made up"]["start"] is None and told["Kestrel housing"]["description"] == "Made in Portsmouth."
    problem_of(served.get("/api/v1/graph/entities/nobody/mentions"), 404)


def test_what_is_missing_is_asked_again_for_one_source_or_all(served: TestClient, llm_server: LLMServer) -> None:
    llm_server.reply("no", "no")
    accepted, job = put(served)
    assert job["status"] == "succeeded" and job["error"]["type"] == "extraction_incomplete" and job["error"]["left_out"] == 1
    assert served.post("/api/v1/search", json={"query": "northern pump"}).json()["hits"]

    llm_server.reply("no", "no")
    [again] = served.post("/api/v1/sources/reingest", json={"missing": True}).json()["sources"]
    assert wait_for_job(served, again)["error"]["left_out"] == 1

    llm_server.always(FOUND)
    last = served.post(f"/api/v1/sources/{accepted['source_id']}/reingest", json={"missing": True})
    assert last.status_code == 202 and wait_for_job(served, last.json())["error"] is None
    assert served.post("/api/v1/sources/reingest", json={"missing": True}).json()["sources"] == []
    assert served.get(f"/api/v1/sources/{accepted['source_id']}").json()["status"] == "ready"


def test_all_sources_are_not_read_anew_at_once(served: TestClient) -> None:
    assert "missing" in problem_of(served.post("/api/v1/sources/reingest", json={}), 400)["detail"]


def test_without_an_llm_nothing_can_be_missing(client: TestClient, handbook: dict[str, Any]) -> None:
    for path in ("/api/v1/sources/reingest", f"/api/v1/sources/{handbook['source_id']}/reingest"):
        problem = problem_of(client.post(path, json={"missing": True}), 409)
        assert problem["error_type"] == "conflict" and "LLM_MODEL" in problem["detail"]
    assert client.get("/api/v1/usage").json()["calls"] == 0


def test_answers_are_paid_for_too_and_quote_when_the_budget_is_spent(served: TestClient, llm_server: LLMServer) -> None:
    llm_server.always(FOUND)
    put(served)
    before = served.get("/api/v1/usage").json()
    llm_server.always("The Kestrel turbine drives it [1].")

    answer = served.post("/api/v1/chat", json={"message": "What drives the northern pump?"}).json()
    after = served.get("/api/v1/usage").json()

    assert answer["degraded"] == []
    assert after["calls"] == before["calls"] + 1
    assert after["prompt_tokens"] == before["prompt_tokens"] + answer["usage"]["prompt_tokens"] > before["prompt_tokens"]
    assert after["days"][-1]["llm_cost"] == after["cost"] > before["cost"]

    url = "/api/v1/tenants/personal/limits"
    assert served.patch(url, json={"llm_tokens": after["prompt_tokens"]}).json()["llm_tokens"] == after["prompt_tokens"]
    asked = len(llm_server.requests)
    answer = served.post("/api/v1/chat", json={"message": "What drives the northern pump?"}).json()
    assert answer["degraded"] == ["budget"] and "Kestrel turbine drives the northern pump" in answer["answer"]
    assert len(llm_server.requests) == asked
    assert served.get("/api/v1/usage").json()["budget_tokens"] == after["prompt_tokens"]


def test_an_answer_that_nobody_waited_for_is_paid_for(served: TestClient, llm_server: LLMServer) -> None:
    llm_server.always(FOUND)
    put(served)
    before = served.get("/api/v1/usage").json()
    llm_server.always("The Kestrel turbine drives it [1]. " * 20)

    mind = served.app.state.service.mind  # type: ignore[attr-defined]
    events = mind.chat.stream("personal", "What drives the northern pump?")
    next(events)
    events.close()

    after = served.get("/api/v1/usage").json()
    assert after["calls"] == before["calls"] + 1 and after["prompt_tokens"] > before["prompt_tokens"]
