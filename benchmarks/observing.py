"""What metrics and logs cost a request: the same calls to one service with and without them, by turns.

    python benchmarks/observing.py [--rounds 600]
    PROMETHEUS_MULTIPROC_DIR=$(mktemp -d) python benchmarks/observing.py    # figures in files, as a backend of several processes

Without them: nothing is counted, observed or logged. Client and server run in this process, the log goes to a file. Shown: medians of CPU
and of the wall clock, the median of the rounds' differences with its 95% interval (bootstrap), and what one scrape takes.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prometheus_client import Counter, Histogram

from apps.backend import middleware
from apps.backend.app import create_app
from benchmarks.auth import Cost, fill, search_of, served, settle, show
from localmind.settings import Settings
from localmind.wiring import build

SCRAPE_S = 5
BLOCK = 10
WARM = 3
"""Calls that are not counted after each change: what it puts in place and takes away again the interpreter has to learn anew."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=600)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log, redirect_stderr(log):
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data", seed_guides=False, web=False)
        mind = build(settings)
        app = create_app(settings, mind, log_to="stderr")
        with served(app) as address:
            service = app.state.service
            assert service.wait(120) and service.error is None, service.error
            fill(mind)
            settle()
            compare(address.removeprefix("http://"), rounds)
        log.flush()
        size = (Path(folder) / "log").stat().st_size
        print(f"log: {size / max(1, sum(1 for _ in (Path(folder) / 'log').open())):.0f} bytes a line")


def compare(address: str, rounds: int) -> None:
    pick = random.Random(7)
    client = http.client.HTTPConnection(address)
    for name, method, path, body in (
        ("/livez", "GET", "/livez", lambda: None),
        ("list of sources", "GET", "/api/v1/sources?limit=20", lambda: None),
        ("text search", "POST", "/api/v1/search", lambda: search_of(pick, "text")),
        ("hybrid search", "POST", "/api/v1/search", lambda: search_of(pick, "hybrid")),
    ):
        show(name, *turns(client, method, path, body, rounds))
    scrapes = [ask(client, "GET", "/metrics", None).cpu_s for _ in range(20)]
    scrape_s = statistics.median(scrapes)
    print(f"a scrape: {1e3 * scrape_s:.1f} ms of CPU, {100 * scrape_s / SCRAPE_S:.2f}% of a core at one in {SCRAPE_S} s")


def turns(
    client: http.client.HTTPConnection, method: str, path: str, body: Callable[[], object], rounds: int
) -> tuple[list[Cost], list[Cost]]:
    without: list[Cost] = []
    with_: list[Cost] = []
    gc.disable()
    for number in range(rounds // BLOCK + 1):
        sent = [body() for _ in range(BLOCK)]
        for is_silent in (True, False) if number % 2 else (False, True):
            with silence() if is_silent else nullcontext():
                costs = [ask(client, method, path, what) for what in [*sent[:WARM], *sent]][WARM:]
            if number:
                (without if is_silent else with_).extend(costs)
    gc.enable()
    return without, with_


def ask(client: http.client.HTTPConnection, method: str, path: str, body: object) -> Cost:
    began, cpu = time.perf_counter(), time.process_time()
    client.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = client.getresponse()
    answer.read()
    time.sleep(0.001)  # the line is written after the answer
    cost = Cost(time.perf_counter() - began, time.process_time() - cpu)
    assert answer.status == 200, path
    return cost


@contextmanager
def silence() -> Iterator[None]:
    def nothing(*_: object, **__: object) -> None:
        pass

    root = logging.getLogger()
    level = root.level
    with (
        mock.patch.object(middleware, "_record", nothing),
        mock.patch.object(Counter, "inc", nothing),
        mock.patch.object(Histogram, "observe", nothing),
    ):
        root.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            root.setLevel(level)


if __name__ == "__main__":
    main()
