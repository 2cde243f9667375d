"""Request ids, log lines, metrics, crashes and bodies that are too large."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi import Request
from fastapi.testclient import TestClient
from prometheus_client import generate_latest

from apps.backend.app import create_app
from localmind.operations import metrics
from localmind.settings import Settings

MEGABYTE = 1_000_000


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    """A service that is not started, with routes that show what came in, and one that crashes."""
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, max_upload_mb=2, web=False))

    async def crash(q: str = "") -> None:
        raise RuntimeError("a secret detail")

    async def size(request: Request) -> int:
        return len(await request.body())

    app.add_api_route("/api/v1/crash/{name}", crash)
    app.add_api_route("/api/v1/size", size, methods=["POST"])
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_a_sane_request_id_is_kept(client: TestClient) -> None:
    answer = client.get("/api/v1/nothing", headers={"X-Request-ID": "order-66.a_b"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "order-66.a_b"


@pytest.mark.parametrize("given", ["", "has space", "x" * 65, "semi;colon", "ümlaut".encode().decode("latin-1")])
def test_another_request_id_is_replaced(client: TestClient, given: str) -> None:
    answer = client.get("/livez", headers=[(b"X-Request-ID", given.encode("latin-1"))])
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 32


def test_a_crash_tells_the_client_nothing_and_the_log_everything(client: TestClient) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = client.get("/api/v1/crash/now", headers={"X-Request-ID": "abc"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "abc"
    assert "secret" not in answer.text and "RuntimeError" not in answer.text
    crash = next(line for line in lines if line["event"] == "request_crashed")
    assert crash["exc_info"] and crash["route"] == "/api/v1/crash/{name}"


def test_the_log_names_routes_and_never_what_was_asked(client: TestClient) -> None:
    with structlog.testing.capture_logs() as lines:
        client.get("/api/v1/crash/private-name?q=private-question")
        client.get("/private-place")
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("GET", "/api/v1/crash/{name}", 500),
        ("GET", "none", 404),
    ]
    assert all(line["ms"] >= 0 for line in requests)
    assert "private" not in json.dumps([{key: str(value) for key, value in line.items()} for line in lines])


def test_metrics_are_labelled_by_route_and_not_by_path(client: TestClient) -> None:
    client.get("/api/v1/jobs/some-id")
    client.request("BREW", "/teapot-blue")
    text = generate_latest(metrics.REGISTRY).decode()
    assert 'http_requests_total{method="GET",route="/api/v1/jobs/{job_id}",status="503"}' in text
    assert 'method="OTHER",route="none"' in text
    assert "some-id" not in text and "blue" not in text and "BREW" not in text


def test_an_announced_body_over_the_limit_is_refused_unread(client: TestClient) -> None:
    def never_read() -> Iterator[bytes]:
        yield b"{"
        pytest.fail("the body was read")

    answer = client.post("/api/v1/search", content=never_read(), headers={"Content-Length": str(10 * MEGABYTE)})
    assert answer.status_code == 413
    assert answer.json()["error_type"] == "too_large"


def test_a_body_that_grows_over_the_limit_is_cut_off(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50 * MEGABYTE:
            sent += 100_000
            yield b" " * 100_000

    answer = client.post("/api/v1/size", content=endless())
    assert answer.status_code == 413
    assert answer.json()["title"] == "The upload is too large"


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/api/v1/size", 999_999, 200), ("/api/v1/size", MEGABYTE + 1, 413), ("/api/v1/sources/upload", 4 * MEGABYTE, 413)],
)
def test_the_limit_depends_on_the_route(client: TestClient, path: str, size: int, status: int) -> None:
    assert client.post(path, content=b"x" * size).status_code == status
