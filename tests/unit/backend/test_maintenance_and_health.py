"""Statistics, reconcile, rebuild, doctor, health and metrics over HTTP; starting and failing to start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from apps.backend import service
from apps.backend.app import create_app
from apps.backend.service import Service, State
from localmind.errors import CorruptIndex, StoreUnavailable
from localmind.settings import Settings
from tests.unit.backend.asking import problem_of, wait_until_ready


def test_stats_count_what_is_there(client: TestClient, handbook: dict[str, Any]) -> None:
    stats = client.get("/api/v1/stats").json()
    assert stats["sources"] >= 1 and stats["chunks"] >= 1 and stats["vectors"] == stats["chunks"]
    assert stats["jobs"]["succeeded"] >= 1 and stats["disk_bytes"]["catalog"] > 0


def test_reconcile_finds_nothing_after_an_ingest(client: TestClient, handbook: dict[str, Any]) -> None:
    for body in ({"check": True}, {}):
        report = client.post("/api/v1/maintenance/reconcile", json=body).json()
        assert report["findings"] == [] and report["count"] == 0 and report["clean"] is True and report["checked"]


def test_rebuild_makes_the_indexes_anew(client: TestClient, handbook: dict[str, Any]) -> None:
    report = client.post("/api/v1/maintenance/rebuild").json()
    assert report["chunks"] >= 1
    hits = client.post("/api/v1/search", json={"query": "leek soup", "mode": "vector"}).json()["hits"]
    assert hits[0]["source_id"] == handbook["source_id"]


def test_a_malformed_reconcile_is_refused(client: TestClient) -> None:
    problem_of(client.post("/api/v1/maintenance/reconcile", json={"check": "perhaps"}), 422)
    problem_of(client.post("/api/v1/maintenance/reconcile", json={"fix": True}), 422)


def test_doctor_looks_at_everything(client: TestClient) -> None:
    checks = {check["name"]: check for check in client.get("/api/v1/doctor").json()["checks"]}
    assert {"python", "packages", "data", "settings", "catalog", "llm", "tesseract"} <= set(checks)
    assert checks["catalog"]["ok"] and checks["settings"]["ok"]


def test_a_well_service_says_so(client: TestClient) -> None:
    health = client.get("/health")
    assert health.status_code == 200
    assert health.json()["status"] == "healthy" and set(health.json()["services"].values()) == {"healthy"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_metrics_are_prometheus_text(client: TestClient, handbook: dict[str, Any]) -> None:
    client.post("/api/v1/search", json={"query": "soup", "mode": "vector"})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(lines["neo4j_is_healthy"]) == float(lines["milvus_is_healthy"]) == 1
    assert float(lines['jobs{status="succeeded"}']) >= 1
    assert float(lines['search_duration_seconds_count{mode="vector"}']) >= 1
    assert float(lines["chunks_created_total"]) >= 1
    assert float(lines['embedded_texts_total{kind="document"}']) >= 1 and float(lines['embedded_texts_total{kind="query"}']) >= 1
    assert float(lines['service_is_healthy{service="catalog"}']) == float(lines["backend_is_ready"]) == 1
    assert float(lines['queue_depth{kind="ingest",queue="ingestion"}']) >= 0 and float(lines['workers{queue="ingestion"}']) == 1
    assert float(lines['stored_items{kind="chunks"}']) >= 0 and float(lines["machine_cpus"]) >= 1
    told = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")}
    assert {
        *("http_requests_total", "http_request_duration_seconds", "ingestion_duration_seconds", "ingestion_failures_total"),
        *("llm_extraction_duration_seconds", "llm_requests_total", "llm_errors_total", "llm_tokens_total", "llm_cost_total"),
        *("store_bytes", "usage_today_by_rank", "backup_last_success_timestamp_seconds", "restore_drill_last_success_timestamp_seconds"),
    } <= told


def test_labels_are_bounded(client: TestClient, handbook: dict[str, Any]) -> None:
    """What was asked for by its id, a tenant or a source, stands in no label."""
    for path in (f"/api/v1/sources/{handbook['source_id']}", "/api/v1/sources/unknown", f"/api/v1/jobs/{handbook['job_id']}", "/nowhere"):
        client.get(path)
    text = client.get("/metrics").text
    assert 'route="/api/v1/sources/{source_id}"' in text and 'route="none"' in text
    assert not any(word in text for word in (handbook["source_id"], handbook["job_id"], '"personal"', "nowhere", "unknown"))


def test_a_reconcile_tells_what_it_left(client: TestClient, handbook: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.operations.figures.FRESH_S", -1.0)
    client.post("/api/v1/maintenance/reconcile", json={"check": True})
    text = client.get("/metrics").text
    assert 'reconcile_findings{store="vectors"} 0.0' in text and "reconcile_last_run_timestamp_seconds" in text


# --- starting


class Slow:
    """Stands for a product whose opening takes as long as the test wants."""

    def __init__(self, settings: Settings, error: Exception | None = None) -> None:
        self.settings = settings
        self.go_on = threading.Event()
        self.closed = False
        self.error = error

    def open(self) -> None:
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, log_level="ERROR")


def serving(mind: Slow) -> TestClient:
    return TestClient(create_app(mind=mind), base_url="http://127.0.0.1", raise_server_exceptions=False)  # type: ignore[arg-type]


def test_the_port_answers_while_the_product_is_opened(settings: Settings) -> None:
    mind = Slow(settings)
    with serving(mind) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/health").status_code == 503 and client.get("/health").json()["status"] == "starting"
        assert problem_of(client.get("/readyz"), 503)["error_type"] == "unavailable"
        refused = client.get("/api/v1/sources")
        assert "starting" in problem_of(refused, 503)["detail"] and refused.headers["retry-after"]
        page = client.get("/")
        assert page.status_code == 503 and "is starting" in page.text
        assert client.get("/metrics").status_code == 200
        mind.go_on.set()
    assert mind.closed


def test_a_product_that_does_not_open_tells_why_at_every_call(settings: Settings) -> None:
    mind = Slow(settings, CorruptIndex("The vectors are damaged.", hint="Run `localmind rebuild`."))
    mind.go_on.set()
    with serving(mind) as client:
        assert client.app.state.service.wait(20)  # type: ignore[attr-defined]
        assert client.get("/livez").status_code == 200
        assert client.get("/health").json()["status"] == "unhealthy"
        assert problem_of(client.get("/api/v1/sources"), 503)["detail"] == "The vectors are damaged. Run `localmind rebuild`."
    assert not mind.closed


def test_a_server_that_is_not_there_yet_is_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RETRY_S", 0.01)
    mind = Slow(settings, StoreUnavailable("PostgreSQL does not answer.", service="postgresql"))
    mind.go_on.set()
    with serving(mind) as client:
        held: Service = client.app.state.service  # type: ignore[attr-defined]
        assert eventually(lambda: held.missing == ["postgresql"])
        assert client.get("/health").json()["services"] == {"postgresql": "unhealthy"}
        assert "PostgreSQL" in problem_of(client.get("/api/v1/sources"), 503)["detail"]
        mind.error = None
        assert held.wait(20) and held.state is State.READY and held.missing == []


def test_a_command_does_not_wait_for_a_server(settings: Settings) -> None:
    mind = Slow(settings, StoreUnavailable("PostgreSQL does not answer.", service="postgresql"))
    mind.go_on.set()
    app = create_app(mind=mind, patient=False)  # type: ignore[arg-type]
    with TestClient(app, base_url="http://127.0.0.1"):
        assert app.state.service.wait(20) and app.state.service.state is State.FAILED


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


def test_an_unforeseen_failure_tells_no_internals(settings: Settings) -> None:
    mind = Slow(settings, RuntimeError("secret"))
    mind.go_on.set()
    with serving(mind) as client:
        assert client.app.state.service.wait(20)  # type: ignore[attr-defined]
        assert "secret" not in problem_of(client.get("/readyz"), 503)["detail"]


def test_a_second_service_on_the_same_data_is_refused(client: TestClient, settings_for: Callable[..., Settings]) -> None:
    used: Settings = client.app.state.service.settings  # type: ignore[attr-defined]
    with TestClient(create_app(used), base_url="http://127.0.0.1") as second:
        assert second.app.state.service.wait(30)  # type: ignore[attr-defined]
        assert problem_of(second.get("/api/v1/sources"), 503)["error_type"] == "data_dir_in_use"
    assert client.get("/readyz").status_code == 200


def test_closing_gives_the_data_back(tmp_path: Path, settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(tmp_path / "lm")
    for _ in range(2):
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            wait_until_ready(client)
            assert client.get("/readyz").status_code == 200
