"""The stack as an operator has it: up, a cited answer, every service restarted under load, down and up, and what it says of bad input.

The tests are one story, told in order: `make test-compose`. Needs a container engine with the images (scripts/images).
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest

from tests.compose.compose import EMAIL, PASSWORD, Compose, eventually, problem

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

HEALTHY_S = 120
START_S = 5
LOAD_PAUSE_S = 0.5
MOST_DOCUMENTS = 400
QUESTION = "At what pressure does the relief valve of the boiler open?"
TEXT = "Boiler manual. The relief valve of the boiler opens at 3.5 bar. The pump is oiled once a year by the caretaker."


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    why = problem()
    if why:
        pytest.skip(why)
    compose = Compose(tmp_path_factory.mktemp("compose"))
    try:
        yield compose
    finally:
        compose("down", "--volumes", "--remove-orphans", "--timeout", "20", ok=False)
        compose.client.close()


# --- what is wrong is told before anything runs


def test_a_missing_secret_is_named_and_nothing_is_made(stack: Compose) -> None:
    told = stack("up", "-d", ok=False, NEO4J_PASSWORD="")
    assert "NEO4J_PASSWORD" in told and "compose-secrets" in told
    assert stack.services() == {}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("SECRET_KEY", "changeme" * 5, "SECRET_KEY is weak"), ("REDIS_PASSWORD", "redis", "REDIS_URL: its password is weak")],
)
def test_a_weak_secret_is_named_and_nothing_starts(stack: Compose, name: str, value: str, said: str) -> None:
    stack("up", "-d", ok=False, **{name: value})
    states = {service: each["State"] for service, each in stack.services().items()}
    assert states.pop("check") == "exited" and set(states.values()) == {"created"}
    assert sum(said in line for line in stack("logs", "check", "--no-log-prefix").splitlines()) == 1
    stack("down", "--volumes")


def test_a_full_disk_is_named_before_the_start(stack: Compose) -> None:
    told = stack("run", "--rm", "--no-deps", "-v", "/dev/shm/none:/none", "-e", "DATA_DIR=/tmp/data", "check", ok=False)
    assert "Free some space" in told, "/tmp of the container has half a gigabyte"


def test_a_port_in_use_is_named(stack: Compose) -> None:
    with socket.create_server(("127.0.0.1", stack.port)):
        told = stack("up", "-d", "--no-deps", "backend", ok=False)
    assert str(stack.port) in told and "address already in use" in told
    assert stack.services()["backend"]["State"] == "created"
    stack("down", "--volumes")


# --- up, and at work


def test_the_stack_is_healthy_within_two_minutes(stack: Compose) -> None:
    begun = time.monotonic()
    stack("up", "-d")
    eventually(lambda: not stack.unwell(), stack.unwell, HEALTHY_S)
    took_s = time.monotonic() - begun
    print(f"up -d to healthy: {took_s:.1f} s")
    assert took_s < HEALTHY_S


def test_a_document_gets_a_cited_answer(stack: Compose) -> None:
    stack.in_backend("localmind", "admin", "create-user", "--email", EMAIL, LOCALMIND_ADMIN_PASSWORD=PASSWORD)
    stack.log_in()
    sent = stack.client.post("/api/v1/sources/upload", files={"file": ("boiler.md", TEXT.encode())})
    assert sent.status_code == 202, sent.text
    finished(stack, [sent.json()["sources"][0]["job_id"]])
    answer = stack.client.post("/api/v1/chat", json={"message": QUESTION}).json()
    assert "3.5 bar" in answer["answer"] and answer["citations"][0]["title"].startswith(("boiler", "Boiler"))


def test_the_product_runs_as_nobody_on_a_root_that_is_read_only(stack: Compose) -> None:
    assert stack.in_backend("id", "-u").strip() == "10001"
    assert "Read-only" in stack.in_backend("sh", "-c", "touch /app/x", ok=False)
    assert "ModuleNotFoundError" in stack.in_backend("python", "-c", "import torch", ok=False)
    sbom = json.loads(stack.in_backend("cat", "/app/sbom.cdx.json"))
    assert sbom["bomFormat"] == "CycloneDX" and {"fastapi", "neo4j", "pymilvus"} <= {each["name"] for each in sbom["components"]}


def test_the_backend_starts_in_seconds(stack: Compose) -> None:
    took_s = []
    for _ in range(3):  # the machine may have other work meanwhile
        stack("stop", "backend")
        begun = time.monotonic()
        subprocess.run(["docker", "start", "sce-backend"], check=True, capture_output=True)  # compose looks at all the others first
        eventually(lambda: answers(stack), lambda: stack("logs", "--tail", "5", "backend"), 60)
        took_s.append(time.monotonic() - begun)
    print(f"backend start to ready: {', '.join(f'{each:.1f}' for each in took_s)} s")
    assert min(took_s) < START_S


def test_every_service_may_be_restarted_under_load(stack: Compose) -> None:
    stack.log_in()
    with Load(stack) as load:
        for service in ("catalog", "redis", "neo4j", "etcd", "minio", "milvus", "worker", "maintenance", "backend"):
            begun = time.monotonic()
            stack("restart", service)
            took_s = eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)
            print(f"{service}: restarted and well again after {time.monotonic() - begun:.1f} s ({took_s:.1f} s waited)")
            load.beat()
    print(f"accepted {len(load.jobs)}, refused meanwhile {load.refused}, searches {load.searches}, of them failed {load.failed}")
    assert len(load.jobs) > 9
    stack.log_in()
    finished(stack, load.jobs.values())
    for name in load.jobs:
        hits = stack.client.post("/api/v1/search", json={"query": name, "mode": "text", "limit": 3}).json()["hits"]
        assert any(name in hit["text"] for hit in hits), name
    assert stack.differences() == {"clean": True, "count": 0}


def test_down_and_up_again_loses_nothing(stack: Compose) -> None:
    stack.log_in()
    before = stack.counts()
    stack("down", "--timeout", "60")
    begun = time.monotonic()
    stack("up", "-d")
    eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)
    print(f"up -d to healthy with data: {time.monotonic() - begun:.1f} s; {before}")
    assert stack.counts() == before
    assert stack.differences() == {"clean": True, "count": 0}
    assert "3.5 bar" in stack.client.post("/api/v1/chat", json={"message": QUESTION}).json()["answer"]


@pytest.mark.parametrize(
    ("server", "setting", "value"),
    [
        ("neo4j", "NEO4J_PASSWORD", "not-this-one-123"),
        ("postgresql", "DATABASE_URL", "postgresql+psycopg://localmind:not-this-one-123@catalog:5432/localmind"),
        ("redis", "REDIS_URL", "redis://:not-this-one-123@redis:6379/0"),
        ("minio", "MINIO_SECRET_KEY", "not-this-one-123"),
    ],
)
def test_a_wrong_password_is_one_line_of_doctor(stack: Compose, server: str, setting: str, value: str) -> None:
    told = stack.in_backend("localmind", "doctor", "--json", ok=False, **{setting: value})
    checks = {check["name"]: check for check in json.loads(told[: told.rindex("]") + 1])}
    ill = [name for name in ("postgresql", "neo4j", "milvus", "minio", "redis") if name in checks and not checks[name]["ok"]]
    assert ill == [server]
    assert "not-this-one" not in told and "\n" not in checks[server]["detail"]


# --- what the tests ask


def answers(stack: Compose) -> bool:
    with suppress(httpx.HTTPError):
        return stack.client.get("/readyz").status_code == 200
    return False


def is_well(stack: Compose) -> bool:
    with suppress(httpx.HTTPError, ValueError):
        return bool(stack.client.get("/health").json()["status"] == "healthy")
    return False


def finished(stack: Compose, jobs: object) -> None:
    for job in list(jobs):  # type: ignore[call-overload]

        def state(job: str = job) -> str:
            return str(stack.client.get(f"/api/v1/jobs/{job}").json().get("status"))

        eventually(lambda: state() in ("succeeded", "failed"), lambda: stack("logs", "--tail", "20", "worker"), 120)
        assert state() == "succeeded", stack.client.get(f"/api/v1/jobs/{job}").text


@dataclass
class Load:
    """A document and a search every half second while it is entered, and so many at most. jobs: of what was accepted, by its word."""

    stack: Compose
    jobs: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    searches: int = 0
    failed: int = 0

    def __enter__(self) -> Load:
        self._stopping, self._beaten = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def beat(self) -> None:
        """Until one more document was accepted."""
        self._beaten.clear()
        assert self._beaten.wait(60), "no document is accepted any more"

    def _run(self) -> None:
        with httpx.Client(base_url=self.stack.client.base_url, headers=self.stack.client.headers, timeout=10, trust_env=False) as client:
            for at in range(MOST_DOCUMENTS):
                if self._stopping.wait(LOAD_PAUSE_S):
                    return
                self._send(client, f"quillon{at:04d}")
                self._search(client)

    def _send(self, client: httpx.Client, word: str) -> None:
        text = f"Note of the {word}. The {word} was seen at the harbour by Grace Hopper and Alan Turing."
        with suppress(httpx.HTTPError):
            answer = client.post("/api/v1/sources/text", json={"title": word, "text": text})
            if answer.status_code == 202:
                self.jobs[word] = answer.json()["job_id"]
                self._beaten.set()
                return
        self.refused += 1

    def _search(self, client: httpx.Client) -> None:
        self.searches += 1
        with suppress(httpx.HTTPError):
            if client.post("/api/v1/search", json={"query": "relief valve", "limit": 3}).status_code == 200:
                return
        self.failed += 1
