"""What traces cost a request: the same calls to two services, one that traces and one that does not, by turns.

    python benchmarks/tracing.py [--rounds 300] [--share 0.1]

Both in this process, over two knowledge bases with the same notes; the collector is another process, sending is this one's CPU. Shown: as
benchmarks/observing.py does; and of a service without traces what the checks take that it makes of each request, counted and timed.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from apps.backend.app import create_app
from benchmarks.auth import Cost, fill, per_call, search_of, served, settle, show
from benchmarks.observing import BLOCK, WARM, ask
from localmind.operations import tracing
from localmind.settings import Settings
from localmind.wiring import build

CHECKS = ("is_on", "span", "aside", "shared", "continued", "carried", "traceparent", "trace_id")
"""What is asked of tracing while it is off."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--share", type=float, default=0.1, help="Share of the requests that is traced.")
    parser.add_argument("--collect", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collect:
        collect()
        return
    with ExitStack() as stack:
        endpoint = stack.enter_context(collector())
        traced = {
            "otel_exporter_otlp_endpoint": endpoint,
            "otel_traces_sampler": "parentbased_traceidratio",
            "otel_traces_sampler_arg": options.share,
        }
        without, with_ = (stack.enter_context(service(changes)) for changes in ({}, traced))
        assert tracing.is_on()
        compare(http.client.HTTPConnection(without), http.client.HTTPConnection(with_), options.rounds)


@contextmanager
def service(changes: dict[str, object]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), seed_guides=False, web=False, log_level="ERROR", **changes)  # type: ignore[arg-type]
        mind = build(settings)
        app = create_app(settings, mind)
        with served(app) as address:
            assert app.state.service.wait(120) and app.state.service.error is None, app.state.service.error
            fill(mind)
            settle()
            yield address.removeprefix("http://")


def compare(without: http.client.HTTPConnection, with_: http.client.HTTPConnection, rounds: int) -> None:
    pick = random.Random(7)
    for name, method, path, body in (
        ("list of sources", "GET", "/api/v1/sources?limit=20", lambda: None),
        ("text search", "POST", "/api/v1/search", lambda: search_of(pick, "text")),
        ("hybrid search", "POST", "/api/v1/search", lambda: search_of(pick, "hybrid")),
    ):
        show(name, *turns(without, with_, method, path, body, rounds))
        with off():
            checks = counted(partial(ask, without, method, path, body()))
            cost_s = per_call(lambda: tracing.span("search vectors"), 20_000)
        print(f"{name}, off: {checks} checks of {1e9 * cost_s:.0f} ns: {1e6 * checks * cost_s:.1f} us")


def turns(
    without: http.client.HTTPConnection,
    with_: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Callable[[], object],
    rounds: int,
) -> tuple[list[Cost], list[Cost]]:
    base: list[Cost] = []
    traced: list[Cost] = []
    gc.disable()
    for number in range(rounds // BLOCK + 1):
        sent = [body() for _ in range(BLOCK)]
        for is_traced in (True, False) if number % 2 else (False, True):
            with nullcontext() if is_traced else off():
                costs = [ask(with_ if is_traced else without, method, path, what) for what in [*sent[:WARM], *sent]][WARM:]
            if number:
                (traced if is_traced else base).extend(costs)
    gc.enable()
    return base, traced


def off() -> mock._patch[None]:
    """The service without traces shares this process with the one that has them."""
    return mock.patch.object(tracing, "_on", None)


def counted(call: Callable[[], object]) -> int:
    """How often a call asks tracing for anything."""
    count = 0

    def counting(original: Callable[..., object]) -> Callable[..., object]:
        def asked(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            return original(*args, **kwargs)

        return asked

    with ExitStack() as stack:
        for name in CHECKS:
            stack.enter_context(mock.patch.object(tracing, name, counting(getattr(tracing, name))))
        call()
    return count


@contextmanager
def collector() -> Iterator[str]:
    command = [sys.executable, __file__, "--collect"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def collect() -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
