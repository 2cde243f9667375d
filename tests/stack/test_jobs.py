"""Jobs among worker processes on PostgreSQL: killed at any moment, none is lost, and none is held by two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.catalog.jobs import BULK, Claim
from localmind.model import JobStatus, SourceId, TenantId
from tests.postgresql_server import catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
ANN, BOB = TenantId("ann"), TenantId("bob")

# Claims, says so, works for a moment, and finishes what it still has; argv: URL, name.
WORKER = """
import sys, time
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.model import JobStatus
catalog, name = Catalog(Database(sys.argv[1])), sys.argv[2]
while True:
    claims = [claim.job for claim in catalog.jobs.claim(name, limit=4, lease_s=1)]
    for job in claims:
        print("begun", job.id, flush=True)
        time.sleep(0.01)
        with catalog.database.write():
            if catalog.jobs.confirm([job]):
                catalog.jobs.finish([job], JobStatus.SUCCEEDED)
                print("done", job.id, flush=True)
    catalog.jobs.release_lost()
    if not claims:
        time.sleep(0.05)
"""


def start(url: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORKER, url, name], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Lines that it wrote."""
    os.kill(process.pid, signal.SIGKILL)
    written, _ = process.communicate()
    return written.splitlines()


@pytest.fixture
def catalog(postgresql_url: str) -> Iterator[Catalog]:
    database = Database(postgresql_url)
    yield Catalog(database)
    database.close()


def test_jobs_of_killed_workers_are_done_by_others_and_each_is_finished_once(catalog: Catalog, postgresql_url: str) -> None:
    catalog.jobs.add(ANN, [("ingest", SourceId(f"s{n}"), 1, BULK) for n in range(200)])
    lines: list[str] = []
    workers = [start(postgresql_url, f"w{n}") for n in range(3)]
    try:
        for n in range(6):
            assert workers[0].stdout is not None
            workers[0].stdout.readline()  # it is in the middle of something
            lines += kill(workers.pop(0))
            workers.append(start(postgresql_url, f"v{n}"))
        deadline = time.monotonic() + 60
        while catalog.jobs.counts(ANN)["succeeded"] < 200:
            assert time.monotonic() < deadline, catalog.jobs.counts(ANN)
            time.sleep(0.1)
    finally:
        for worker in workers:
            lines += kill(worker)

    done = Counter(line.split()[1] for line in lines if line.startswith("done"))
    assert max(done.values()) == 1
    assert catalog.jobs.counts(ANN) == {"queued": 0, "running": 0, "succeeded": 200, "failed": 0, "cancelled": 0}


def test_a_claim_among_a_hundred_thousand_costs_what_one_among_a_thousand_does(catalog: Catalog) -> None:
    def queue(first: int, last: int) -> None:
        catalog.jobs.add(ANN, [("ingest", SourceId(f"s{n}"), 1, BULK) for n in range(first, last)])

    def claims_s() -> tuple[float, list[Claim]]:
        """The fastest of ten claims, since other work only slows them; and what the first one gave."""
        took, first = [], []
        for _ in range(10):
            began = time.perf_counter()
            claimed = catalog.jobs.claim("w", limit=8, lease_s=30)
            took.append(time.perf_counter() - began)
            first = first or claimed
        return min(took), first

    queue(0, 1_000)
    few_s, _ = claims_s()
    for start_ in range(10_000, 110_000, 10_000):
        queue(start_, start_ + 10_000)
    single = catalog.jobs.add(BOB, [("ingest", SourceId("b"), 1, BULK)])
    many_s, first = claims_s()

    assert single[0] in {claim.job.id for claim in first}
    assert many_s < 10 * few_s, "to read all that waits would take a hundred times as long"
    assert catalog.jobs.counts()[JobStatus.RUNNING] == 160
