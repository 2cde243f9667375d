"""Work for a stack that is taken apart meanwhile, and what is asked of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.compose.compose import Compose, eventually

HEALTHY_S = 120
LOAD_PAUSE_S = 0.5
MOST_DOCUMENTS = 400


def restart_each(stack: Compose, services: Sequence[str]) -> None:
    """One after the other under load. Nothing that was accepted is lost."""
    stack.log_in()
    with Load(stack) as load:
        for service in services:
            begun = time.monotonic()
            stack("restart", service)
            took_s = eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)
            print(f"{service}: restarted and well again after {time.monotonic() - begun:.1f} s ({took_s:.1f} s waited)")
            load.beat()
    print(f"accepted {len(load.jobs)}, refused meanwhile {load.refused}, searches {load.searches}, of them failed {load.failed}")
    assert len(load.jobs) >= len(services)
    stack.log_in()
    finished(stack, load.jobs.values())
    for name in load.jobs:
        hits = stack.client.post("/api/v1/search", json={"query": name, "mode": "text", "limit": 3}).json()["hits"]
        assert any(name in hit["text"] for hit in hits), name
    assert stack.differences() == {"clean": True, "count": 0}


def answers(stack: Compose) -> bool:
    with suppress(httpx.HTTPError):
        return stack.client.get("/readyz").status_code == 200
    return False


def is_well(stack: Compose) -> bool:
    with suppress(httpx.HTTPError, ValueError):
        return bool(stack.client.get("/health").json()["status"] == "healthy")
    return False


def finished(stack: Compose, jobs: Iterable[str]) -> None:
    for job in list(jobs):

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
