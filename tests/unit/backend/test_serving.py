"""What only a real server on a real socket shows."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from apps.backend import events
from apps.backend.app import create_app
from localmind.catalog.tables import job as job_table
from localmind.settings import Settings

ROOT = Path(__file__).parents[3]
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, settings_for: Callable[..., Settings]) -> Iterator[uvicorn.Server]:
    app = create_app(settings_for(tmp_path_factory.mktemp("data") / "lm"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert app.state.service.wait(60) and app.state.service.error is None
    yield server
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def http(server: uvicorn.Server) -> Iterator[httpx.Client]:
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:
        yield http


def test_an_upload_over_the_limit_gets_its_answer_while_it_is_still_sent(http: httpx.Client) -> None:
    for _ in range(3):
        answer = http.post("/api/v1/sources/upload", files={"file": ("big.bin", b"x" * 40 * MEGABYTE)})
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
    assert http.get("/livez").status_code == 200


def test_an_upload_without_a_length_is_cut_off_at_the_limit(http: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        while sent < 500 * MEGABYTE:
            sent += MEGABYTE
            yield b"x" * MEGABYTE

    answer = http.post("/api/v1/sources/upload", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413
    assert sent < 100 * MEGABYTE


def test_a_client_that_goes_away_ends_its_stream(http: httpx.Client, server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher's thread notices at its next look, though its job never changes."""
    monkeypatch.setattr("apps.backend.routers.jobs.WATCH_S", 0.05)
    free = events._slots._value
    watched = held_job(http, server)
    with http.stream("GET", f"/api/v1/jobs/{watched}/events") as response:
        assert next(response.iter_lines()) == "event: job"
        assert events._slots._value == free - 1
    eventually(lambda: events._slots._value == free)


def test_a_quiet_stream_is_kept_alive(http: httpx.Client, server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    with http.stream("GET", f"/api/v1/jobs/{held_job(http, server)}/events") as response:
        assert any(line.startswith(": ping") for line in response.iter_lines())


def held_job(http: httpx.Client, server: uvicorn.Server) -> str:
    """A job that stays queued: its time comes long after the test."""
    app: Any = server.config.app
    catalog = app.state.service.mind.catalog
    accepted = http.post("/api/v1/sources/text", json={"title": "Held", "text": f"Held back at {time.time_ns()}."}).json()
    with catalog.database.write() as connection:
        job: str = catalog.jobs.add("personal", [("ingest", accepted["source_id"], 99, 99)])[0]
        error = {"type": "held", "message": "Held by a test."}
        connection.execute(sa.update(job_table).where(job_table.c.id == job).values(run_after=time.time() + 600, error=error))
    return job


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.integration
@pytest.mark.parametrize(("folder", "target"), [(".", "apps.backend.main:app"), ("apps/backend", "main:app")])
def test_the_runbooks_commands_start_the_service(folder: str, target: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"DATA_DIR": str(tmp_path / "data"), "WEB": "false", "SEED_GUIDES": "false", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT / folder, env=settings, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/livez"))
    finally:
        process.kill()
        process.wait(10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.integration
def test_a_second_process_on_the_embedded_engines_says_what_to_do(tmp_path: Path, model_cache: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "models").symlink_to(model_cache, target_is_directory=True)
    settings = {"DATA_DIR": str(tmp_path), "SEED_GUIDES": "false", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "uvicorn", "main:app", "--workers", "2", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT / "apps" / "backend", env=settings, stderr=subprocess.DEVNULL)
    told: set[str] = set()

    def both_have_answered() -> bool:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/sources", trust_env=False)
        told.add("ready" if answer.status_code == 200 else answer.json()["detail"])
        return "ready" in told and any("without --workers" in each and "REDIS_URL" in each for each in told)

    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/livez"))
        eventually(both_have_answered)
    finally:
        process.terminate()
        process.wait(20)
