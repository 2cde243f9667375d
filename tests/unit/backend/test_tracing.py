"""Traces of a service, as a collector gets them: one trace from the client's call to the stores, and none of its cost where it is off."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from fastapi.testclient import TestClient

from apps.backend.app import create_app
from localmind.settings import Settings
from tests.otlp_receiver import OTLPReceiver, Span
from tests.unit.backend.asking import HANDBOOK, wait_for_job, wait_until_ready

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT = CLIENT.split("-")[1:3]


@dataclass
class Traced:
    """What a service did, and what a collector that is asked to take things only at the service's end was sent."""

    spans: list[Span]
    headers: dict[str, str]
    lines: list[dict[str, Any]]
    job_id: str
    sent_before_end: int

    def of(self, name: str, **also: str) -> list[Span]:
        return [span for span in self.spans if span.name == name and all(getattr(span, key) == value for key, value in also.items())]

    def one(self, name: str, **also: str) -> Span:
        (found,) = self.of(name, **also)
        return found


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[Traced]:
    root, out = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    with OTLPReceiver() as collector, mock.patch.dict(os.environ, OTEL_BSP_SCHEDULE_DELAY="3600000", OTEL_RESOURCE_ATTRIBUTES="team=a"):
        settings = settings_for(
            tmp_path_factory.mktemp("traced") / "lm",
            otel_exporter_otlp_endpoint=f"{collector.endpoint}/",
            otel_exporter_otlp_headers="authorization=Bearer%20abc,x-tenant=7",
        ).model_copy(update={"log_level": "INFO"})
        app = create_app(settings)
        with contextlib.redirect_stdout(out), TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            wait_until_ready(client)
            body = {"title": "Handbook", "text": HANDBOOK}
            accepted = client.post("/api/v1/sources/text", json=body, headers={"traceparent": CLIENT, "X-Request-ID": "r-7"}).json()
            assert wait_for_job(client, accepted)["status"] == "succeeded"
            for mode in ("hybrid", "vector"):
                assert client.post("/api/v1/search", json={"query": "leek soup", "mode": mode}).status_code == 200
            assert client.get("/health").status_code == 200
            quiet = {"traceparent": CLIENT[:-1] + "0"}
            client.get("/api/v1/stats", headers=quiet)
            with mock.patch.object(app.state.service.mind.jobs, "list", side_effect=RuntimeError("a secret word")):
                assert client.get("/api/v1/jobs").status_code == 500
            sent_before_end = len(collector.spans)
        lines = [json.loads(line) for line in out.getvalue().splitlines()]
        yield Traced(collector.spans, dict(collector.headers[0]), lines, accepted["job_id"], sent_before_end)
    root.handlers[:], root.level = before
    for name in ("localmind", "apps"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_document_is_one_trace_from_the_clients_call_to_the_stores(traced: Traced) -> None:
    asked = traced.one("POST /api/v1/sources/text")
    assert (asked.trace, asked.parent, asked.kind) == (TRACE, PARENT, "server")
    job = traced.one("job ingest")
    assert (job.trace, job.parent, job.kind) == (TRACE, asked.id, "consumer")
    stages = {name: traced.one(name, trace=TRACE) for name in ("read", "chunk", "embed", "extract", "write")}
    assert {span.parent for span in stages.values()} == {job.id}
    assert traced.one("read blobs").parent == stages["read"].id
    assert traced.one("embeddings all-MiniLM-L6-v2", trace=TRACE).parent == stages["embed"].id
    assert traced.one("append vectors").parent == stages["write"].id
    transactions = traced.of("transaction", parent=stages["write"].id)
    commit = next(span for span in transactions if "INSERT chunk" in span.attributes["db.query.summary"])
    assert traced.one("write text").parent == traced.one("write graph").parent == commit.id
    assert job.ended >= stages["write"].ended >= stages["embed"].ended


def test_spans_speak_the_semantic_conventions(traced: Traced) -> None:
    asked, job = traced.one("POST /api/v1/sources/text").attributes, traced.one("job ingest").attributes
    assert asked == {
        "http.request.method": "POST",
        "http.route": "/api/v1/sources/text",
        "http.response.status_code": 202,
        "url.scheme": "http",
        "localmind.request.id": "r-7",
        "localmind.tenant.id": "personal",
    }
    assert (job["localmind.job.id"], job["localmind.request.id"]) == (traced.job_id, "r-7")
    assert traced.one("append vectors").attributes == {"db.system.name": "lancedb", "db.operation.name": "append"}
    assert traced.of("SELECT chunk")[0].attributes["db.system.name"] == "sqlite"
    embedded = traced.one("embeddings all-MiniLM-L6-v2", trace=TRACE).attributes
    assert embedded["gen_ai.operation.name"] == "embeddings" and embedded["gen_ai.request.model"] == "all-MiniLM-L6-v2"


def test_a_searchs_lists_are_part_of_its_request_whichever_threads_ask_for_them(traced: Traced) -> None:
    for asked in traced.of("POST /api/v1/search"):
        assert next(span for span in traced.of("search vectors") if span.parent == asked.id).trace == asked.trace != TRACE
    assert traced.one("search text").parent in {asked.id for asked in traced.of("POST /api/v1/search")}


def test_nothing_but_requests_begins_a_trace_and_probes_are_none(traced: Traced) -> None:
    ids = {span.id for span in traced.spans}
    assert {span.kind for span in traced.spans if span.parent not in ids} == {"server"}
    assert not traced.of("GET /health")


def test_a_request_that_its_client_does_not_trace_is_not_traced(traced: Traced) -> None:
    assert not [span for span in traced.spans if "/stats" in span.name]
    (line,) = [line for line in traced.lines if line.get("route") == "/api/v1/stats"]
    assert "trace_id" not in line


def test_an_error_is_told_by_its_type_alone(traced: Traced) -> None:
    crashed = traced.one("GET /api/v1/jobs")
    assert crashed.error and crashed.attributes["http.response.status_code"] == 500 and crashed.attributes["error.type"]
    assert "secret word" not in repr(traced.spans)


def test_lines_say_which_trace_they_belong_to(traced: Traced) -> None:
    ours = [line for line in traced.lines if line.get("request_id") == "r-7"]
    assert {"request", "document_indexed"} <= {line["event"] for line in ours}
    assert {line.get("trace_id") for line in ours if line["event"] != "audit"} == {TRACE}  # the audit writes its lines by itself


def test_what_is_left_is_sent_at_the_end_with_the_headers_that_are_set(traced: Traced) -> None:
    assert traced.sent_before_end == 0 and {span.service for span in traced.spans} == {"localmind"}
    assert (traced.headers["authorization"], traced.headers["x-tenant"]) == ("Bearer abc", "7")


def test_off_nothing_is_in_the_way(client: TestClient) -> None:
    mind = client.app.state.service.mind  # type: ignore[attr-defined]
    for port in (mind.store.vectors, mind.store.text, mind.store.graph, mind.store.blobs, mind.embedder, mind.catalog.database):
        assert not {"search", "read", "write", "put", "embed_query"} & vars(port).keys()


def test_off_nothing_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from localmind.settings import Settings; from localmind.wiring.product import build; "
        "from localmind.operations import tracing\n"
        f"build(Settings(_env_file=None, data_dir=Path({str(tmp_path)!r})))\n"
        "with tracing.span('a'), tracing.shared('b', ['00-0-0-01']): tracing.carried(print)()\n"
        "sys.exit(', '.join(name for name in sys.modules if name.startswith('opentelemetry')) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert ended.returncode == 0, ended.stderr
