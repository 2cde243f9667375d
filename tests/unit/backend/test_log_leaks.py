"""What the log and traces say of a day at work, and what they must never say: documents, questions, passwords, keys, tokens and addresses.

The app asks for logins, reads through its own pipeline, asks a scripted LLM, and logs all that it can at LOG_LEVEL=DEBUG.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import secrets
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.accounts.model import Role
from localmind.settings import Settings
from tests.llm_server import Failure, LLMServer
from tests.otlp_receiver import OTLPReceiver, Span
from tests.unit.backend.asking import wait_for_job, wait_until_ready

PRIVATE = (
    "document", "title", "filename", "tag", "broken", "refused", "query", "question", "answer", "llm_said", "password", "guess", "llm_key",
    "secret_key", "email", "stranger", "url", "path", "parameter", "body", "message", "space",
)  # fmt: skip
"""What carries a marker."""


GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "logs.md"


@dataclass
class Day:
    """markers: words that nothing but what they mark has. secrets: made by the service, and handed out once."""

    markers: dict[str, str] = field(default_factory=lambda: {name: f"q{secrets.token_hex(8)}" for name in PRIVATE})
    secrets: dict[str, str] = field(default_factory=dict)
    log: str = ""
    spans: list[Span] = field(default_factory=list)
    sent: bytes = b""
    """What the collector of traces was sent."""
    user_id: str = ""
    source_id: str = ""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def of(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event and fields.items() <= line.items()]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[Day]:
    day, root, out = Day(), logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    with LLMServer() as llm, OTLPReceiver() as collector:
        settings = settings_for(
            tmp_path_factory.mktemp("logged") / "lm",
            auth="required",
            secret_key=day.markers["secret_key"] + secrets.token_urlsafe(32),
            password_memory_kib=8,
            password_rounds=1,
            rate_limits="off",
            llm_base_url=llm.base_url,
            llm_model="scripted",
            llm_api_key=day.markers["llm_key"],
            otel_exporter_otlp_endpoint=collector.endpoint,
        ).model_copy(update={"log_level": "DEBUG"})
        app = create_app(settings)
        with contextlib.redirect_stdout(out), TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            wait_until_ready(client)
            made = app.state.service.mind.accounts.members.create_user(day.markers["email"] + "@example.org", password(day), Role.OWNER)
            day.user_id = made.user_id
            work(day, client, llm, app.state.service.mind.catalog.database.engine)
        day.spans, day.sent = collector.spans, collector.raw
    root.handlers[:], root.level = before
    for name in ("localmind", "apps"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    day.log = out.getvalue()
    yield day


def password(day: Day) -> str:
    return day.markers["password"] + " is long enough"


def work(day: Day, client: TestClient, llm: LLMServer, catalog: sa.Engine) -> None:
    mark = day.markers
    email = mark["email"] + "@example.org"
    extracted = {"entities": [{"name": mark["llm_said"], "type": "concept", "description": mark["llm_said"]}], "relations": []}
    llm.always(lambda request: extracted if mark["document"] in request.user and "entities" in request.system else mark["answer"])

    # --- logins
    for who, what in ((email, mark["guess"]), (mark["stranger"] + "@example.org", mark["guess"])):
        assert client.post("/api/v1/auth/login", json={"email": who, "password": what}).status_code == 401
    tokens = client.post("/api/v1/auth/login", json={"email": email, "password": password(day)}).json()
    day.secrets |= {"access": tokens["access_token"], "refresh": tokens["refresh_token"]}
    asked = {"Authorization": f"Bearer {tokens['access_token']}"}
    renewed = client.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    day.secrets |= {"renewed": renewed["access_token"], "refresh2": renewed["refresh_token"]}
    key = client.post("/api/v1/api-keys", json={"name": "a key", "scopes": ["read"]}, headers=asked).json()
    day.secrets["api_key"] = key["key"]
    assert client.get("/api/v1/sources", headers={"X-API-Key": key["key"]}).status_code == 200
    assert client.get("/api/v1/sources", headers={"X-API-Key": key["key"][:-4] + "beef"}).status_code == 401
    assert client.get("/api/v1/sources", headers={"Authorization": f"Bearer {tokens['access_token']}x"}).status_code == 401

    # --- documents: one that is read, some that go wrong, and one that the catalog refuses
    def put(name: str, data: bytes, request_id: str) -> dict[str, Any]:
        files = {"file": (name, data)}
        headers = {**asked, "X-Request-ID": request_id}
        answer = client.post("/api/v1/sources/upload", files=files, data={"tags": mark["tag"]}, headers=headers)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()["sources"][0]
        return accepted

    text = f"# {mark['title']}\n\nThe {mark['document']} boils at ninety degrees. Nobody but us knows of the {mark['document']}."
    good = put(f"{mark['filename']}.md", text.encode(), "the-good-one")
    assert wait_for_job(client, good, headers=asked)["status"] == "succeeded"
    day.source_id = good["source_id"]
    assert wait_for_job(client, put("a.pdf", f"%PDF-1.7 {mark['broken']}".encode(), "the-broken-one"), headers=asked)["status"] == "failed"
    url = client.post("/api/v1/sources/url", json={"url": f"http://127.0.0.1:9/{mark['url']}?token={mark['url']}"}, headers=asked)
    assert url.status_code in (202, 400)
    with catalog.begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER refuse BEFORE INSERT ON chunk BEGIN SELECT RAISE(ABORT, 'no more'); END")
    refused = put("refused.txt", f"What {mark['refused']} says stays with {mark['refused']}.".encode(), "the-refused-one")
    assert wait_for_job(client, refused, headers=asked)["status"] == "failed"
    with catalog.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")

    # --- questions
    for mode in ("hybrid", "vector", "text", "graph"):
        assert client.post("/api/v1/search", json={"query": mark["query"], "mode": mode}, headers=asked).status_code == 200
    assert client.post("/api/v1/chat", json={"message": f"{mark['question']} {mark['document']}?"}, headers=asked).status_code == 200
    llm.always(Failure(400, mark["message"]))
    client.post("/api/v1/chat", json={"message": f"{mark['question']} again?"}, headers=asked)
    client.post("/api/v1/chat/stream", json={"message": f"{mark['question']} at length?"}, headers=asked)

    # --- what is no use
    client.post("/api/v1/search", content=f'{{"query": "{mark["body"]}"'.encode(), headers={**asked, "Content-Type": "application/json"})
    client.post("/api/v1/search", json={"query": [mark["body"]]}, headers=asked)
    client.get(f"/{mark['path']}?token={mark['parameter']}")
    client.get(f"/api/v1/sources/{mark['path']}", headers={**asked, "X-Space": mark["space"]})
    client.get(f"/api/v1/sources/{mark['path']}", headers=asked)
    assert client.delete(f"/api/v1/sources/{good['source_id']}", headers=asked).status_code == 202
    client.post("/api/v1/auth/logout", headers=asked)


@pytest.mark.parametrize("what", PRIVATE)
def test_nothing_that_is_anybodys_stands_in_the_log_or_a_span(day: Day, what: str) -> None:
    marker = day.markers[what]
    for form in (marker, marker.upper(), urllib.parse.quote(marker), repr(marker.encode())[2:-1]):
        assert form not in day.log, next(line for line in day.log.splitlines() if form in line)[:500]
        assert form.encode() not in day.sent, next(span for span in day.spans if form in repr(span))


def test_no_secret_that_was_handed_out_stands_in_the_log(day: Day) -> None:
    assert len(day.secrets) == 5
    for name, secret in day.secrets.items():
        for part in (secret, secret[-24:]):
            assert part not in day.log, name
            assert part.encode() not in day.sent, name


def test_spans_tell_of_all_that_was_done_without_ids_of_documents(day: Day) -> None:
    names = {span.name for span in day.spans}
    assert {"job ingest", "job delete", "read", "chunk", "embed", "extract", "write", "chat scripted"} <= names
    assert {"POST /api/v1/sources/upload", "POST /api/v1/chat/stream", "GET /api/v1/sources/{source_id}", "GET"} <= names
    errors = {span.attributes.get("error.type") for span in day.spans if span.error}
    assert {"broken", "IntegrityError", "request_refused"} <= errors
    assert day.source_id.encode() not in day.sent


def test_every_line_says_when_how_bad_and_what(day: Day) -> None:
    assert len(day.lines) > 50
    for line in day.lines:
        assert {"timestamp", "level", "event"} <= line.keys(), line


def test_a_request_is_followed_to_its_end_by_its_id(day: Day) -> None:
    (asked,) = day.of("request", request_id="the-good-one")
    assert (asked["user_id"], asked["tenant_id"], asked["route"]) == (day.user_id, "personal", "/api/v1/sources/upload")
    (accepted,) = day.of("audit", request_id="the-good-one")
    assert accepted["kind"] == "document_ingested" and accepted["details"]["sources"] == [day.source_id]
    (indexed,) = day.of("document_indexed", request_id="the-good-one")
    assert (indexed["tenant_id"], indexed["source_id"]) == ("personal", day.source_id)
    assert indexed["chunks"] > 0 and indexed["took_s"] >= 0 and indexed["job_id"]


def test_what_goes_wrong_says_which_error(day: Day) -> None:
    (broken,) = day.of("job_failed", request_id="the-broken-one")
    assert broken["error_type"] and broken["stage"] == "read" and broken["level"] == "warning"
    (refused,) = day.of("job_failed", request_id="the-refused-one")
    assert "no more" in refused["exception"], "the traceback is there, without the statement's values"
    statuses = {(line["status"], line.get("error_type")) for line in day.of("request")}
    assert {(401, "unauthenticated"), (404, "not_found"), (422, "malformed_request")} <= statuses
    assert all("error_type" not in line for line in day.of("request") if line["status"] < 400)


def test_the_log_tells_what_the_audit_has(day: Day) -> None:
    kinds = {line["kind"] for line in day.of("audit")}
    assert {"document_ingested", "document_deleted", "search_performed", "chat", "login", "login_failed", "logout", "key_created"} <= kinds
    assert all(line["tenant_id"] and line["hash"] for line in day.of("audit"))


def test_the_guide_names_every_field_and_event(day: Day) -> None:
    guide = GUIDE.read_text()
    told = set(re.findall(r"`(\w+)`", guide))
    ours = [line for line in day.lines if line.get("event") in ("request", "audit", "document_indexed", "documents_removed", "job_failed")]
    assert {name for line in ours for name in line} <= told
    assert {"request", "audit", "document_indexed", "documents_removed", "job_failed", "pipeline_fault", "llm_failed"} <= told
