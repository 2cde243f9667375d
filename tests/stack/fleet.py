"""A fleet of real processes for tests: backends behind one port, a Celery worker, and a Redis of its own that may be taken away."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import redis

ROOT = Path(__file__).parents[2]
START_S = 90


def free_port() -> int:
    """Below those that the system gives to connections: one of them could take it while its server is down."""
    while True:
        port = random.randrange(20_000, 29_000)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def eventually(holds: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
    """There is no event for what other processes do."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Redis:
    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self.url = f"redis://:fleet@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", "fleet", "--save", ""]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        eventually(self.answers, "Redis did not start", 10)

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Process:
    """A command with its children, in a group of their own; its output goes to a file."""

    def __init__(self, command: list[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._command, self._folder, self._environment, self._log = command, folder, environment, log
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int | None = None
        """Where it listens."""

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                cwd=self._folder,
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        """As a power cut: all of them at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it ended by itself, and its children too
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            # The children that shared its socket end a moment later.
            eventually(lambda: self.port is None or is_free(self.port), f"port {self.port} must get free", 20)

    def revive(self) -> bool:
        """Start it again if its main process has ended, as a supervisor does; whether it had."""
        if self._process is None or self._process.poll() is None:
            return False
        self.kill()
        self.start()
        return True

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        return process.wait(30)


class Fleet:
    def __init__(self, folder: Path, servers: Mapping[str, str]) -> None:
        self.redis = Redis(folder)
        self.port, self.metrics_port = free_port(), free_port()
        self.environment = environment = {
            **servers,
            "REDIS_URL": self.redis.url,
            "DATA_DIR": str(folder / "data"),
            "SEED_GUIDES": "false",
            "JOB_LEASE_S": "5",
            "WORKER_METRICS_PORT": str(self.metrics_port),
        }
        backend = ["uvicorn", "main:app", "--workers", "2", "--port", str(self.port)]
        worker = ["celery", "-A", "tasks", "worker", "--concurrency=2", "--queues=ingestion"]
        self.backend = Process(backend, folder=ROOT / "apps" / "backend", environment=environment, log=folder / "backend.log")
        self.backend.port = self.port
        self.worker = Process(worker, folder=ROOT / "apps" / "worker", environment=environment, log=folder / "worker.log")

    def start(self) -> None:
        self.redis.start()
        self.worker.start()
        self.backend.start()
        self.wait_until_healthy()

    def close(self) -> None:
        for each in (self.backend, self.worker, self.redis):
            each.kill()

    def revive(self) -> int:
        """How many of backend and worker had ended and were started again."""
        return sum([each.revive() for each in (self.backend, self.worker)])

    def wait_until_healthy(self) -> None:
        def is_healthy() -> bool:
            self.revive()
            try:
                return all(self.get("/health")["status"] == "healthy" for _ in range(4))
            except httpx.TransportError:
                return False

        eventually(is_healthy, "the fleet did not get well")

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Over a connection of its own, so that the processes take turns."""
        # There is no TLS: to make ready for it anyway would take each call 20 ms of CPU.
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=30, trust_env=False, verify=False, **options)

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params).json()

    def post(self, path: str, body: Any) -> Any:
        answer = self.call("POST", path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def put_in(self, title: str, text: str) -> str:
        """The job's id."""
        return str(self.post("/api/v1/sources/text", {"title": title, "text": text})["job_id"])

    def wait_for(self, *jobs: str, timeout_s: float = 60) -> None:
        """Until each has succeeded."""
        left = set(jobs)

        def are_done() -> bool:
            for job in list(left):
                found = self.get(f"/api/v1/jobs/{job}")
                assert found["status"] not in ("failed", "cancelled"), found
                if found["status"] == "succeeded":
                    left.discard(job)
            return not left

        eventually(are_done, f"jobs did not end: {left}", timeout_s)

    def metrics(self, port: int) -> dict[str, float]:
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))}
