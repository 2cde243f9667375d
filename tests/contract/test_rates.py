"""What rate limits promise, in one process and over Redis: no burst passes them, and Redis may be away."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import structlog

from apps.backend import rates
from apps.backend.rates import AWAY_S, Bucket, Rates, network_of
from localmind.ids import random_id
from localmind.settings import Settings

ROOT = Path(__file__).parents[2]

BURST = """
import asyncio, json, sys
from apps.backend import rates as limits
from apps.backend.rates import Bucket, Rates
from localmind.settings import Settings

limits.REDIS_TIMEOUT_S = 20  # a busy machine is no Redis that is away

async def main():
    rates = Rates(Settings(_env_file=None, redis_url=sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    bucket = [Bucket("user", sys.argv[2], 40), Bucket("tenant", sys.argv[2], 1000)]
    verdicts = await asyncio.gather(*(rates.ask(bucket) for _ in range(100)))
    print(json.dumps([sum(verdict.allowed for verdict in verdicts), rates._is_away]))
    await rates.close()

asyncio.run(main())
"""


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.stack)])
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(rates, "REDIS_TIMEOUT_S", 20)  # a busy machine is no Redis that is away
    url = request.getfixturevalue("stack")["REDIS_URL"] if request.param == "redis" else ""
    return Settings(_env_file=None, redis_url=url)


def ask(settings: Settings, buckets: list[Bucket], times: int) -> list[Any]:
    """All at once."""

    async def run() -> list[Any]:
        rates = Rates(settings)
        try:
            first = await rates.ask(buckets)
            return [first, *await asyncio.gather(*(rates.ask(buckets) for _ in range(times - 1)))]
        finally:
            await rates.close()

    return asyncio.run(run())


def test_a_burst_gets_what_the_limit_allows_and_no_more(settings: Settings) -> None:
    verdicts = ask(settings, [Bucket("user", random_id(), 20)], 50)

    assert Counter(verdict.allowed for verdict in verdicts) == {True: 20, False: 30}
    assert verdicts[0].left in (18, 19), "Redis is asked beside the count, and may answer after it"
    assert all(1 <= verdict.reset_s <= 60 for verdict in verdicts)


def test_the_fullest_bucket_refuses_and_says_which_it_is(settings: Settings) -> None:
    verdicts = ask(settings, [Bucket("user", random_id(), 20), Bucket("tenant", random_id(), 5)], 10)

    refused = [verdict.bucket.policy for verdict in verdicts if not verdict.allowed]
    assert refused == ["tenant"] * 5


@pytest.mark.stack
def test_a_burst_from_two_processes_stays_within_the_limit(stack: Any) -> None:
    command = [sys.executable, "-c", BURST, stack["REDIS_URL"], random_id()]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    told = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=30)
        told.append(json.loads(out))
    assert [is_away for _, is_away in told] == [False, False]
    assert sum(allowed for allowed, _ in told) == 40


def test_without_redis_each_process_counts_alone_and_says_so_once(unused_port: int) -> None:
    now = [0.0]

    async def run() -> list[bool]:
        rates = Rates(Settings(_env_file=None, redis_url=f"redis://127.0.0.1:{unused_port}/0"), clock=lambda: now[0])
        bucket = [Bucket("user", "u", 3)]
        allowed = [(await rates.ask(bucket)).allowed for _ in range(3)]
        now[0] += AWAY_S + 1  # it is asked again, in vain
        allowed.append((await rates.ask(bucket)).allowed)
        await rates.close()
        return allowed

    with structlog.testing.capture_logs() as lines:
        assert asyncio.run(run()) == [True, True, True, False]
    assert [line["event"] for line in lines] == ["rate_limits_local"]


@pytest.fixture
def unused_port() -> int:

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "counted"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("testclient", "testclient"), ("x" * 300, "x" * 64)],
)
def test_who_has_a_network_of_addresses_counts_once(address: str, counted: str) -> None:
    assert network_of(address) == counted
