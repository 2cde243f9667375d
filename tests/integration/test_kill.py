"""kill -9 at random moments of an ingest: nothing that was accepted is lost, done twice, or left half."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

KILLS = 10
START_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The service in a process of its own, which can be killed as a power cut would."""

    def __init__(self, data_dir: Path) -> None:
        self.port = free_port()
        self.data_dir = data_dir
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PORT": str(self.port), "DATA_DIR": str(self.data_dir), "SEED_GUIDES": "false", "WEB": "false"}
        command = [sys.executable, "-c", "from apps.cli.main import run; run()", "serve"]
        with (self.data_dir / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.data_dir / "log").read_text()[-3000:]
            try:
                if self.call("GET", "/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)  # there is no event for another process's readiness
        raise AssertionError("the service did not start: " + (self.data_dir / "log").read_text()[-3000:])

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    def call(self, method: str, path: str, **arguments: object) -> httpx.Response:
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=30, **arguments)  # type: ignore[arg-type]


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def texts(how_many: int, generator: random.Random) -> list[dict[str, str]]:
    words = [f"{a}{b}" for a in ("gra", "mel", "tor", "vin", "sol", "per", "kan") for b in ("dor", "ique", "asta", "oval", "umer")]
    return [
        {
            "title": f"Report {n}",
            "uri": f"urn:report:{n}",
            "text": "\n\n".join(" ".join(generator.choices(words, k=60)) + f". Item {n}." for _ in range(6)),
        }
        for n in range(how_many)
    ]


def jobs_of(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    cursor = None
    while True:
        page = server.call("GET", "/api/v1/jobs", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_ten_kills_lose_nothing_and_leave_nothing_behind(tmp_path: Path, model_cache: Path) -> None:
    generator = random.Random(7)
    (tmp_path / "models").symlink_to(model_cache, target_is_directory=True)
    server = Server(tmp_path)
    accepted: dict[str, str] = {}
    wanted = texts(400, generator)
    with running(server):
        for round_ in range(KILLS):
            batch = wanted[round_ * 40 : (round_ + 1) * 40]
            answer = server.call("POST", "/api/v1/sources/bulk", content="\n".join(json.dumps(text) for text in batch))
            assert answer.status_code == 202
            for text, source in zip(batch, answer.json()["sources"], strict=True):
                accepted[text["uri"]] = source["source_id"]
            if round_ % 3 == 2:  # deletes and updates are interrupted too
                doomed = accepted.pop(wanted[round_]["uri"])
                assert server.call("DELETE", f"/api/v1/sources/{doomed}").status_code == 202
                changed = accepted[wanted[round_ + 5]["uri"]]
                body = {"text": wanted[round_ + 5]["text"] + "\n\nA last paragraph."}
                assert server.call("PUT", f"/api/v1/sources/{changed}", json=body).status_code == 202
            time.sleep(generator.uniform(0.05, 2.5))  # the random moment
            server.kill()
            server.start()
        deadline = time.monotonic() + 300
        while open_jobs := [job for job in jobs_of(server) if job["status"] in ("queued", "running")]:
            assert time.monotonic() < deadline, open_jobs[:3]
            time.sleep(0.5)

        ended = jobs_of(server)
        # An ingest that a newer version overtook is cancelled; nothing else but success is right for these texts.
        bad = [job for job in ended if job["status"] == "failed"]
        assert bad == []
        report = server.call("POST", "/api/v1/maintenance/reconcile", json={"check": True}).json()
        assert report["findings"] == []
        stats = server.call("GET", "/api/v1/stats").json()
        assert stats["sources"] == len(accepted)
        assert stats["vectors"] == stats["chunks"]
        for source_id in list(accepted.values())[::10]:
            assert server.call("GET", f"/api/v1/sources/{source_id}").json()["status"] == "ready"
        server.stop()


COUNTING = """
import sys, threading
from pathlib import Path
from localmind.ids import text_hash
from localmind.model import PERSONAL
from localmind.operations import logs
from localmind.settings import Settings
from localmind.wiring import build

logs.configure(target="stderr")
mind = build(Settings(data_dir=Path(sys.argv[1]), seed_guides=False))
embed = mind.embedder.embed_documents
record = open(sys.argv[2], "a")

def counted(texts):
    vectors = embed(texts)
    record.write("".join(text_hash(text) + "\\n" for text in texts))
    record.flush()
    return vectors

mind.embedder.embed_documents = counted
mind.open()
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as data:
        mind.sources.upload(PERSONAL, filename="long.txt", data=data)
job = mind.jobs.list(PERSONAL).items[0]
for state in mind.jobs.watch(PERSONAL, job.id):
    print(state.status, state.progress, flush=True)
mind.close()
"""


def test_a_kill_repeats_at_most_one_batch_of_the_embedder(tmp_path: Path, model_cache: Path) -> None:
    from localmind.wiring.engines import EMBEDDED_BATCH

    data = tmp_path / "data"
    data.mkdir()
    (data / "models").symlink_to(model_cache, target_is_directory=True)
    long_text = tmp_path / "long.txt"
    long_text.write_text("\n\n".join(text["text"] for text in texts(300, random.Random(3))))
    record = tmp_path / "embedded"

    def run(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", COUNTING, str(data), str(record), *arguments], stdout=subprocess.PIPE, text=True)

    with run(str(long_text)) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if float(line.split()[1]) > 0.5:  # well in the middle: the next state may be any
                break
        first.kill()
    with run() as second:
        output, _ = second.communicate(timeout=300)
    assert output.splitlines()[-1].startswith("succeeded")

    embedded = record.read_text().splitlines()
    assert len(embedded) - len(set(embedded)) <= EMBEDDED_BATCH
    assert len(set(embedded)) > 3 * EMBEDDED_BATCH
