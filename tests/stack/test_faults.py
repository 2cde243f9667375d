"""Random faults under load: processes killed, servers killed, wires cut. What was accepted is there at the end, once, and nothing else is.

FAULTS says how many (default 12, about 3 minutes); 100 were survived before a release.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from localmind.model import PERSONAL
from tests.stack.fleet import ROOT, Fleet, eventually
from tests.stack.test_fleet import children, servers  # noqa: F401 - a fixture
from tests.tcp_proxy import TcpProxy

FAULTS = int(os.environ.get("FAULTS", "12"))

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300 + 30 * FAULTS)]

WIRES = {"postgres": "DATABASE_URL", "neo4j": "NEO4J_URI", "milvus": "MILVUS_URI", "minio": "MINIO_ENDPOINT"}
TRIES = 60


@dataclass
class Client:
    """A person who puts documents in, changes and deletes them, and tries again when told to."""

    fleet: Fleet
    generator: random.Random
    wanted: dict[str, str] = field(default_factory=dict)
    """Source id by uri, of what must be there at the end."""
    made: int = 0
    refused: int = 0

    def insist(self, method: str, path: str, **options: object) -> httpx.Response:
        """Until it is accepted: what is answered with an error, or not at all, was not promised."""
        for _ in range(TRIES):
            try:
                answer = self.fleet.call(method, path, **options)
            except httpx.TransportError:
                answer = None
            if answer is not None and (answer.is_success or answer.status_code in (404, 409)):
                return answer
            assert answer is None or answer.status_code in (429, 503), answer.text
            self.refused += 1
            time.sleep(0.5)
        raise AssertionError(f"{method} {path} was never accepted")

    def put_in(self, count: int) -> None:
        lines = []
        for _ in range(count):
            self.made += 1
            lines.append({"title": f"Report {self.made}", "uri": f"urn:report:{self.made}", "text": text_of(self.generator, self.made)})
        answer = self.insist("POST", "/api/v1/sources/bulk", content="\n".join(map(json.dumps, lines)))
        for line, source in zip(lines, answer.json()["sources"], strict=True):
            self.wanted[line["uri"]] = source["source_id"]

    def change_one(self) -> None:
        uri = self.generator.choice(list(self.wanted))
        self.made += 1
        self.insist("PUT", f"/api/v1/sources/{self.wanted[uri]}", json={"text": text_of(self.generator, self.made)})

    def delete_one(self) -> None:
        uri = self.generator.choice(list(self.wanted))
        self.insist("DELETE", f"/api/v1/sources/{self.wanted.pop(uri)}")

    def search(self) -> None:
        """Whatever is down, an answer or a plain refusal comes."""
        try:
            answer = self.fleet.call("POST", "/api/v1/search", json={"query": "report of the Aurora pump"})
        except (httpx.NetworkError, httpx.RemoteProtocolError):  # the backend is the one that is down
            return
        assert answer.status_code in (200, 503), answer.text


def text_of(generator: random.Random, number: int) -> str:
    names = ["Aurora Pump", "Bergen Works", "Ada Lindqvist", "Valve Seven", "Tor Refinery", "Kanvin Group"]
    paragraphs = []
    for part in range(3):
        one, two = generator.sample(names, 2)
        paragraphs.append(f"Report {number} says in part {part} that {one} was delivered to {two} on day {generator.randrange(300)}. " * 3)
    return "\n\n".join(paragraphs)


@pytest.fixture
def wires(servers: dict[str, str]) -> Iterator[dict[str, TcpProxy]]:  # noqa: F811 - the fixture
    made: dict[str, TcpProxy] = {}
    for name, setting in WIRES.items():
        parts = urlsplit(servers[setting])
        assert parts.hostname is not None and parts.port is not None
        made[name] = TcpProxy(parts.hostname, parts.port)
        made[name].open()
    yield made
    for proxy in made.values():
        proxy.shut()


@pytest.fixture
def fleet(tmp_path: Path, model_cache: Path, servers: dict[str, str], wires: Mapping[str, TcpProxy]) -> Iterator[Fleet]:  # noqa: F811
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(model_cache, target_is_directory=True)
    through = {setting: through_wire(servers[setting], wires[name].port) for name, setting in WIRES.items()}
    fleet = Fleet(tmp_path, servers | through)
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.close()


def through_wire(address: str, port: int) -> str:
    parts = urlsplit(address)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))


def faults(fleet: Fleet, wires: Mapping[str, TcpProxy], generator: random.Random) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each with a name, in random order: two in five are kills of our processes, two cuts of a wire, one the death of a server."""

    def cut(name: str) -> None:
        wires[name].shut()
        time.sleep(generator.uniform(0.2, 4))  # for how long the wire is cut
        wires[name].open()

    def hush(name: str) -> None:
        wires[name].hush()
        time.sleep(generator.uniform(0.2, 4))
        wires[name].shut()
        wires[name].open()

    def kill_server(name: str) -> None:
        for verb in ("kill", "start"):
            done = subprocess.run([sys.executable, ROOT / "scripts" / "stack", verb, name], capture_output=True, text=True, timeout=150)
            assert done.returncode == 0, done.stderr

    def kill_child() -> None:
        pids = children(fleet.worker)
        if pids:
            os.kill(generator.choice(pids), 9)

    def restart(name: str) -> None:
        process = getattr(fleet, name)
        process.kill()
        process.start()

    def lose_redis() -> None:
        fleet.redis.kill()
        fleet.redis.start()

    while True:
        kind = generator.choices(("child", "process", "redis", "wire", "silence", "server"), (3, 4, 1, 6, 2, 4))[0]
        if kind == "child":
            yield "kill -9 of a worker's process", kill_child
        elif kind == "process":
            name = generator.choice(("worker", "backend"))
            yield f"kill -9 of the {name}", lambda name=name: restart(name)  # type: ignore[misc]
        elif kind == "redis":
            yield "kill -9 of redis", lose_redis
        else:
            name = generator.choice(list(WIRES))
            if kind == "wire":
                yield f"{name} refuses connections", lambda name=name: cut(name)  # type: ignore[misc]
            elif kind == "silence":
                yield f"{name} does not answer", lambda name=name: hush(name)  # type: ignore[misc]
            else:
                yield f"kill -9 of {name}", lambda name=name: kill_server(name)  # type: ignore[misc]


def test_random_faults_lose_nothing_and_leave_nothing_behind(fleet: Fleet, wires: Mapping[str, TcpProxy]) -> None:
    seed = int(os.environ.get("FAULTS_SEED", secrets.randbelow(10**6)))
    generator = random.Random(seed)
    client = Client(fleet, generator)
    met: dict[str, int] = {}
    revived = 0
    client.put_in(10)
    for (name, strike), _ in zip(faults(fleet, wires, generator), range(FAULTS), strict=False):
        print(f"seed {seed}: {name}", flush=True)
        met[name] = met.get(name, 0) + 1
        client.put_in(generator.randrange(1, 12))
        time.sleep(generator.uniform(0, 1.5))  # the random moment
        strike()
        revived += fleet.revive()
        client.search()
        if generator.random() < 0.3:
            client.change_one()
        if generator.random() < 0.3:
            client.delete_one()
    fleet.wait_until_healthy()

    def are_done() -> bool:
        fleet.revive()  # Celery ends when both of its processes are killed as they start
        counts = fleet.get("/api/v1/stats")["jobs"]
        return counts["queued"] == counts["running"] == 0

    eventually(are_done, f"jobs must end: {fleet.worker.log[-2000:]}", 300)
    print(f"seed {seed}: {FAULTS} faults {met}, {revived} of our processes ended by themselves and were started again")
    print(f"seed {seed}: {len(client.wanted)} documents, {client.refused} calls were refused and made again")
    failed = fleet.get("/api/v1/jobs", status="failed")["items"]
    assert failed == []
    report = fleet.post("/api/v1/maintenance/reconcile", {"check": True})
    # Neo4j has but one database: other tests' tenants are none of ours.
    assert [finding for finding in report["findings"] if finding["tenant"] == PERSONAL] == []
    stats = fleet.get("/api/v1/stats")
    assert stats["vectors"] == stats["chunks"] > 0
    present = {source["source_id"]: source for source in all_sources(fleet)}
    assert set(client.wanted.values()) == set(present), "every accepted document once, and no other"
    assert {source["status"] for source in present.values()} == {"ready"}


def all_sources(fleet: Fleet) -> Iterator[dict[str, object]]:
    cursor: str | None = None
    while True:
        page = fleet.get("/api/v1/sources", limit=200, **({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
