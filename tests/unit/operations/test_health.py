"""The background probes: what hangs or falls ill is told at once, and holds up nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from localmind.errors import StoreUnavailable
from localmind.operations import health
from localmind.operations.health import Health


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_S", 0.02)
    monkeypatch.setattr(health, "TIMEOUT_S", 0.3)


@pytest.fixture
def silent_server() -> Iterator[tuple[str, int]]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@pytest.fixture
def watched() -> Iterator[Callable[..., Health]]:
    made: list[Health] = []

    def make(**probes: Callable[[], object]) -> Health:
        made.append(Health({"catalog": lambda: None} | probes, required="catalog"))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_starts_before_the_first_answers_and_says_so() -> None:
    waiting = Health({"catalog": lambda: None}, required="catalog")
    assert waiting.check().status == "starting" and not waiting.ready()


def test_a_server_that_never_answers_is_unhealthy_and_slows_nothing(watched: Callable[..., Health], silent_server: tuple[str, int]) -> None:
    def ask() -> bytes:
        with socket.create_connection(silent_server, timeout=30) as connection:
            return connection.recv(1)

    began = time.monotonic()
    health = watched(vectors=ask, graph=lambda: None)
    assert time.monotonic() - began < 1.5
    began = time.monotonic()
    report = health.check()
    assert time.monotonic() - began < 0.1
    assert report.status == "degraded" and health.ready()
    assert dict(report.services) == {"catalog": True, "vectors": False, "graph": True}


def test_a_service_that_stops_answering_is_told_within_the_timeout(watched: Callable[..., Health]) -> None:
    hangs, held = threading.Event(), threading.Event()

    def ask() -> None:
        if hangs.is_set():
            held.wait(30)

    health = watched(vectors=ask)
    assert health.check().status == "healthy"
    hangs.set()
    eventually(lambda: health.check().status == "degraded")
    hangs.clear()
    held.set()
    eventually(lambda: health.check().status == "healthy")


def test_without_the_required_service_it_is_unhealthy(watched: Callable[..., Health]) -> None:
    broken = threading.Event()

    def ask() -> None:
        if broken.is_set():
            raise OSError

    health = watched(catalog=ask)
    assert health.ready()
    broken.set()
    eventually(lambda: health.check().status == "unhealthy" and not health.ready())


def test_the_log_tells_once_what_falls_ill_and_when_it_is_well_again(watched: Callable[..., Health]) -> None:
    away = threading.Event()

    def ask() -> None:
        if away.is_set():
            raise StoreUnavailable("Redis does not answer.", service="redis")

    with capture_logs() as lines:
        watching = watched(redis=ask)
        away.set()
        eventually(lambda: not watching.check().services["redis"])
        time.sleep(0.1)  # several probes more
        away.clear()
        eventually(lambda: watching.check().services["redis"])
    assert [(line["event"], line["service"]) for line in lines] == [("service_unhealthy", "redis"), ("service_healthy", "redis")]
    assert lines[0]["error"] == "Redis does not answer."
