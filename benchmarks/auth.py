"""What logins and limits cost a request: the same calls to one product with and without AUTH=required, and RATE_LIMITS, by turns.

    python benchmarks/auth.py [--rounds 400] [--redis redis://...]

Two services over one product in this process, on two ports, so that nothing differs but who may ask. Each round asks each of them
once, in changing order. Shown: medians of the wall clock and of the process's CPU, client and server together, which other work on the
machine disturbs less; and the median of the rounds' differences with its 95% interval (bootstrap).
"""

from __future__ import annotations

import argparse
import gc
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from apps.backend.app import create_app
from localmind.accounts.authentication import Credentials
from localmind.accounts.model import Role, Scope
from localmind.ingest.sources import NewText
from localmind.model import PERSONAL
from localmind.settings import Settings
from localmind.wiring import LocalMind, build

SECRET = "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf"
PASSWORD = "correct horse battery"
NOTES = 200
WORDS = "bridge river harbour engine lantern copper valley orchard signal winter market granite meadow thunder paper island".split()  # noqa: SIM905


class Cost(NamedTuple):
    wall_s: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--redis", default="", help="Count requests there, as backends do that share limits.")
    options = parser.parse_args()
    rounds = options.rounds
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None,
            data_dir=Path(folder),
            seed_guides=False,
            web=False,
            log_level="ERROR",
            auth="required",
            secret_key=SECRET,
            rate_limits="off",
        )
        mind = build(settings)
        guarded = create_app(settings, mind)
        with served(guarded) as there:
            service = guarded.state.service
            assert service.wait(120) and service.error is None, service.error
            open_ = create_app(settings.model_copy(update={"auth": "auto"}), mind)
            open_.state.service = service  # the same product; it must not be opened twice
            with served(open_, lifespan="off") as here:
                fill(mind)
                ways = compare(mind, here, there, rounds)
            endless = dict.fromkeys(("rate_limit_user", "rate_limit_api_key", "rate_limit_tenant"), 10**9)
            for redis in ("", *([options.redis] if options.redis else [])):
                limited = create_app(settings.model_copy(update={"rate_limits": "on", **endless}), mind)
                limited.state.rates._settings = settings.model_copy(update={"redis_url": SecretStr(redis)})
                limited.state.service = service
                with served(limited, lifespan="off") as here:
                    compare_limits(there, here, ways, rounds, "Redis" if redis else "memory")
                assert not limited.state.rates._is_away


def compare_limits(without: str, with_: str, ways: dict[str, dict[str, str]], rounds: int, where: str) -> None:
    pick = random.Random(8)
    with httpx.Client(timeout=60) as http:
        for name, headers in ways.items():
            for mode in ("text", "hybrid"):
                costs = turns(http, without, with_, headers, lambda mode=mode: search_of(pick, mode), rounds, bare=headers)
                show(f"limits in {where}: {mode} search, {name}", *costs)


def compare(mind: LocalMind, here: str, there: str, rounds: int) -> dict[str, dict[str, str]]:
    mind.accounts.members.create_user("ann@example.org", PASSWORD, Role.OWNER)
    pair = mind.accounts.logins.log_in("ann@example.org", PASSWORD, address="benchmark")
    ann = mind.accounts.authentication.authenticate(Credentials(token=pair.access))
    space = mind.accounts.spaces.make(ann, "Space", restricted=True)
    key = mind.accounts.api_keys.make(ann, "benchmark", [Scope.READ]).text
    fill(mind, space.id)
    ways = {"access token": {"Authorization": f"Bearer {pair.access}"}, "API key": {"X-API-Key": key}}
    settle()
    pick = random.Random(7)
    with httpx.Client(timeout=60) as http:
        for name, headers in ways.items():
            show(f"hybrid search, {name}", *turns(http, here, there, headers, lambda: search_of(pick, "hybrid"), rounds))
        show("text search, access token", *turns(http, here, there, ways["access token"], lambda: search_of(pick, "text"), rounds))
        in_space = ways["access token"] | {"X-Space": space.id}
        show("hybrid search in a space, access token", *turns(http, here, there, in_space, lambda: search_of(pick, "hybrid"), rounds))
    known = mind.accounts.authentication.known
    for name, token in (("access token", pair.access), ("API key", key)):
        mind.accounts.authentication.authenticate(Credentials(token=token))
        print(f"to recognise an {name}: {1e6 * per_call(lambda token=token: known(Credentials(token=token))):.0f} us")
    return ways


def turns(
    http: httpx.Client,
    here: str,
    there: str,
    headers: dict[str, str],
    body: Callable[[], dict[str, object]],
    rounds: int,
    *,
    bare: dict[str, str] | None = None,
) -> tuple[list[Cost], list[Cost]]:
    """Seconds of each round here and there: the same query, each first in every other round. bare: what is sent here, else the space."""
    without: list[Cost] = []
    with_: list[Cost] = []
    bare = {name: value for name, value in headers.items() if name == "X-Space"} if bare is None else bare
    gc.disable()
    for number in range(rounds + 20):
        query = body()
        asked = [(here, bare, without), (there, headers, with_)]
        for url, sent, times in asked if number % 2 else asked[::-1]:
            began, cpu = time.perf_counter(), time.process_time()
            answer = http.post(f"{url}/api/v1/search", json=query, headers=sent)
            times.append(Cost(time.perf_counter() - began, time.process_time() - cpu))
            assert answer.status_code == 200 and answer.json()["hits"], answer.text
    gc.enable()
    return without[20:], with_[20:]


def show(name: str, without: list[Cost], with_: list[Cost]) -> None:
    for kind, index in (("wall", 0), ("CPU", 1)):
        base = statistics.median(cost[index] for cost in without)
        differences = [b[index] - a[index] for a, b in zip(without, with_, strict=True)]
        pick = random.Random(1)
        medians = sorted(statistics.median(pick.choices(differences, k=len(differences))) for _ in range(1000))
        middle, low, high = statistics.median(differences), medians[25], medians[974]
        print(
            f"{name}, {kind}: {1e3 * base:.2f} ms without, {1e3 * middle:+.3f} ms [{1e3 * low:+.3f}, {1e3 * high:+.3f}] with:"
            f" {100 * middle / base:+.1f}% [{100 * low / base:+.1f}, {100 * high / base:+.1f}]",
            flush=True,
        )


def settle() -> None:
    """Waits until what follows an ingest in the background, such as communities, is done."""
    while True:
        before = time.process_time()
        time.sleep(2)
        if time.process_time() - before < 0.1:
            return


def per_call(call: Callable[[], object], count: int = 2000) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


def search_of(pick: random.Random, mode: str) -> dict[str, object]:
    return {"query": " ".join(pick.sample(WORDS, 3)), "mode": mode, "limit": 10}


def fill(mind: LocalMind, partition: str = PERSONAL) -> None:
    pick = random.Random(3)
    texts = [NewText(f"Note {number}", f"# Note {number}\n\n" + " ".join(pick.choices(WORDS, k=150)) + ".") for number in range(NOTES)]
    accepted = mind.sources.add_texts(partition, texts, bulk=True)  # type: ignore[arg-type]
    for each in accepted:
        assert list(mind.jobs.watch(partition, each.job_id))[-1].status == "succeeded"  # type: ignore[arg-type]


@contextmanager
def served(app: FastAPI, *, lifespan: str = "on") -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan=lifespan))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
