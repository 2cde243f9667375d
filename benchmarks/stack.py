"""The product on the real servers beside the embedded engines, on the same cores, in one run. Needs `scripts/stack up`.

    python benchmarks/stack.py ingest            1,000 notes and a PDF: embedded, then two Celery processes
    python benchmarks/stack.py search            hybrid at 50,000 chunks beside the query's embedding and bare Milvus
    python benchmarks/stack.py load              200 searches at once for a minute: errors, Neo4j's connections, memory

`search` and `load` fill a base without the embedder (about 10 minutes); it stays for the next call until `clear`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import ingest
import numpy as np
import psutil
import sqlalchemy as sa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from localmind.model import PERSONAL  # noqa: E402 - found once the root is on the path
from localmind.settings import Settings  # noqa: E402
from localmind.wiring import LocalMind, build  # noqa: E402
from tests.stack.fleet import Fleet  # noqa: E402

NAME = "benchmark"
AT_ONCE = 200
SECONDS = 60


def servers() -> dict[str, str]:
    """The stack's settings, with a database, a collection and a bucket of our own."""
    told = subprocess.run([sys.executable, ROOT / "scripts" / "stack", "env"], check=True, capture_output=True, text=True).stdout
    found = dict(line.split("=", 1) for line in told.splitlines())
    address = found["DATABASE_URL"].rsplit("/", 1)[0]
    admin = sa.create_engine(found["DATABASE_URL"], isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        if connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": NAME}).first() is None:
            connection.execute(sa.text(f"CREATE DATABASE {NAME}"))
    admin.dispose()
    return found | {"DATABASE_URL": f"{address}/{NAME}", "MILVUS_COLLECTION": NAME, "MINIO_BUCKET": NAME}


@contextmanager
def product(models: Path, found: dict[str, str]) -> Iterator[LocalMind]:
    """One process on the servers, without Redis."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(models)
        values = {name.lower(): value for name, value in found.items() if name != "REDIS_URL"}
        mind = build(Settings(data_dir=Path(folder), seed_guides=False, _env_file=None, **values))  # type: ignore[arg-type]
        mind.open()
        try:
            yield mind
        finally:
            mind.close()


def clear(models: Path) -> None:
    found = servers()
    with product(models, found) as mind:
        mind.store.vectors.reset()
        mind.store.text.clear(PERSONAL)
        mind.store.graph.clear(PERSONAL)
    admin = sa.create_engine(found["DATABASE_URL"].rsplit("/", 1)[0] + "/localmind", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {NAME} WITH (FORCE)"))
    admin.dispose()


def run_ingest(models: Path, pdf: Path, count: int = 1000) -> None:
    lines = "\n".join(json.dumps({"title": note.title, "text": note.text, "uri": note.uri}) for note in ingest.notes(count))
    with ingest.product(models) as mind:
        mind.search.search(PERSONAL, "warm up")
        began = time.perf_counter()
        ingest.wait(mind, [mind.sources.upload(PERSONAL, filename=pdf.name, data=pdf.open("rb"))])
        embedded_pdf = time.perf_counter() - began
        began = time.perf_counter()
        ingest.wait(mind, mind.sources.add_texts(PERSONAL, ingest.notes(count), bulk=True))
        embedded_notes = time.perf_counter() - began
    clear(models)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "models").symlink_to(models)
        fleet = Fleet(Path(folder), servers())
        try:
            fleet.start()
            fleet.wait_for(fleet.put_in("Warm up", "A first note."), fleet.put_in("Warm up too", "A second note."))
            before = cpu_s()
            began = time.perf_counter()
            with pdf.open("rb") as data:
                answer = fleet.call("POST", "/api/v1/sources/upload", files={"file": (pdf.name, data)})
            fleet.wait_for(answer.json()["sources"][0]["job_id"], timeout_s=300)
            stack_pdf = time.perf_counter() - began
            print("CPU seconds for the PDF:", spent(before))
            before = cpu_s()
            began = time.perf_counter()
            fleet.call("POST", "/api/v1/sources/bulk", content=lines).raise_for_status()
            while any(fleet.get("/api/v1/jobs", status=status, limit=1)["items"] for status in ("queued", "running")):
                time.sleep(0.2)
            stack_notes = time.perf_counter() - began
            print("CPU seconds for the notes:", spent(before))
        finally:
            fleet.close()
    for name, embedded_s, stack_s in ((pdf.name, embedded_pdf, stack_pdf), (f"{count} notes", embedded_notes, stack_notes)):
        print(f"{name}: embedded {embedded_s:.1f} s, two workers on the stack {stack_s:.1f} s: {embedded_s / stack_s:.2f} x")


def cpu_s() -> dict[str, float]:
    """Seconds of CPU so far, by program; of a Python program by what it runs."""
    found: dict[str, float] = {}
    for process in psutil.process_iter(["name", "cmdline", "cpu_times"]):
        told = process.info
        command = " ".join(told["cmdline"] or ())
        name = next((each for each in ("celery", "uvicorn", "benchmarks") if each in command), told["name"])
        found[name] = found.get(name, 0.0) + told["cpu_times"].user + told["cpu_times"].system
    return found


def spent(before: dict[str, float]) -> str:
    after = {name: seconds - before.get(name, 0.0) for name, seconds in cpu_s().items()}
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(after.items(), key=lambda each: -each[1]) if seconds >= 0.3)


def filled(mind: LocalMind, chunks: int = 50_000) -> None:
    began, before = time.perf_counter(), mind.catalog.chunks.count(PERSONAL)
    round_ = before
    while (missing := chunks - mind.catalog.chunks.count(PERSONAL)) > 0:
        round_ += 1
        ingest.fill(mind, min(2000, missing), round_)
    after = mind.catalog.chunks.count(PERSONAL)
    if after > before:
        mind.store.vectors.optimize(PERSONAL)
        print(f"filled with {after - before} chunks: {(after - before) / (time.perf_counter() - began):.0f} chunks/s without the embedder")


def run_search(models: Path) -> None:
    with product(models, servers()) as mind:
        mind.search.search(PERSONAL, "warm up")
        filled(mind)
        ingest.measure_search(mind)


def run_load(models: Path) -> None:
    found = servers()
    with product(models, found) as mind:
        filled(mind)
    questions = [note.text.split(".")[0][:60] for note in ingest.notes(400, seed=11)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "models").symlink_to(models)
        fleet = Fleet(Path(folder), found)
        try:
            fleet.start()
            asyncio.run(_load(fleet, questions, found, seconds=10, report=False))
            asyncio.run(_load(fleet, questions, found, seconds=SECONDS, report=True))
        finally:
            fleet.close()


async def _load(fleet: Fleet, questions: list[str], found: dict[str, str], *, seconds: float, report: bool) -> None:
    """AT_ONCE clients, each with its next question when the last is answered; bounded in time."""
    took: list[float] = []
    errors: list[str] = []
    samples: list[tuple[int, float]] = []
    deadline = time.perf_counter() + seconds

    async def client(http: httpx.AsyncClient, number: int) -> None:
        asked = number
        while time.perf_counter() < deadline:
            began = time.perf_counter()
            answer = await http.post("/api/v1/search", json={"query": f"{asked} {questions[asked % len(questions)]}"})
            took.append(1000 * (time.perf_counter() - began))
            if answer.status_code != 200 or answer.json().get("degraded"):
                errors.append(answer.text[:200])
            asked += AT_ONCE

    async def watch() -> None:
        while time.perf_counter() < deadline:
            samples.append(await asyncio.to_thread(_state, fleet, found))
            await asyncio.sleep(2)

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{fleet.port}", timeout=60, limits=limits, trust_env=False) as http:
        await asyncio.gather(watch(), *(client(http, number) for number in range(AT_ONCE)))
    if report:
        p50, p95 = np.percentile(took, [50, 95])
        connections, memory = zip(*samples, strict=True)
        rate = len(took) / seconds
        print(f"{AT_ONCE} at once for {seconds:.0f} s: {rate:.0f} searches/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms, {len(errors)} errors")
        print(f"  connections to Neo4j: {min(connections)} to {max(connections)}; first {connections[:3]}, last {connections[-3:]}")
        print(f"  RSS of the backends: {memory[0]:.0f} MiB at first, {memory[-1]:.0f} at the end, at most {max(memory):.0f}")
        if errors:
            print(f"  first error: {errors[0]}")


def _state(fleet: Fleet, found: dict[str, str]) -> tuple[int, float]:
    """Connections to Neo4j, and MiB of the backends."""
    port = int(found["NEO4J_URI"].rsplit(":", 1)[1])
    backend = psutil.Process(fleet.backend.pid)
    processes = [backend, *backend.children(recursive=True)]
    connections = sum(1 for process in processes for each in process.net_connections() if each.raddr and each.raddr.port == port)
    return connections, sum(process.memory_info().rss for process in processes) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ingest", "search", "load", "clear"))
    parser.add_argument("--pdf", type=Path, default=Path("/usr/share/R/doc/manual/R-exts.pdf"), help="of Debian's r-doc-pdf by default")
    parser.add_argument("--models", type=Path, default=Path(tempfile.gettempdir()) / "localmind-bench-models")
    arguments = parser.parse_args()
    arguments.models.mkdir(parents=True, exist_ok=True)
    actions: dict[str, Any] = {
        "ingest": lambda: run_ingest(arguments.models, arguments.pdf),
        "search": lambda: run_search(arguments.models),
        "load": lambda: run_load(arguments.models),
        "clear": lambda: clear(arguments.models),
    }
    actions[arguments.what]()


if __name__ == "__main__":
    main()
