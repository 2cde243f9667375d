"""The real servers that tests marked `stack` run on: those of scripts/stack, or containers where STACK=testcontainers.

STACK unset: a server that is away skips the test, and says what to type. STACK=local (which `make test-stack` sets): it fails.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.stack_containers import Containers

ROOT = Path(__file__).resolve().parents[1]
AWAY = "{server} is not reachable at {address}: run `scripts/stack up`, or `make test-stack`"

# Which server a setting belongs to, and which of its settings holds the address.
OWNERS = {
    "DATABASE_URL": "postgres",
    "NEO4J_URI": "neo4j",
    "NEO4J_USER": "neo4j",
    "NEO4J_PASSWORD": "neo4j",
    "MILVUS_URI": "milvus",
    "REDIS_URL": "redis",
    "MINIO_ENDPOINT": "minio",
    "MINIO_ACCESS_KEY": "minio",
    "MINIO_SECRET_KEY": "minio",
    "MINIO_BUCKET": "minio",
}
ADDRESSES = {
    "postgres": "DATABASE_URL",
    "neo4j": "NEO4J_URI",
    "milvus": "MILVUS_URI",
    "redis": "REDIS_URL",
    "minio": "MINIO_ENDPOINT",
}


class Servers(Mapping[str, str]):
    """The product's settings by their names. A test that reads those of one server alone does not need the others."""

    def __init__(self) -> None:
        self._settings = dict(line.split("=", 1) for line in run_stack("env").splitlines())
        self._seen: set[str] = set()

    def __getitem__(self, name: str) -> str:
        server = OWNERS[name]
        if server not in self._seen:
            self._require(server, self._settings[ADDRESSES[server]])
            self._seen.add(server)
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(OWNERS)

    def __len__(self) -> int:
        return len(OWNERS)

    def start(self, *servers: str) -> None:
        """Returns when they answer."""
        run_stack("start", *servers)

    def stop(self, *servers: str) -> None:
        """In order, as an operator would."""
        run_stack("stop", *servers)

    def kill(self, *servers: str) -> None:
        """SIGKILL, children included."""
        run_stack("kill", *servers)

    @staticmethod
    def _require(server: str, url: str) -> None:
        address = urlsplit(url)
        try:
            socket.create_connection((str(address.hostname), int(address.port or 0)), 2).close()
        except OSError:
            reason = AWAY.format(server=server, address=f"{address.hostname}:{address.port}")
            if os.environ.get("STACK"):
                pytest.fail(reason)
            pytest.skip(reason)


class ContainerServers(Servers):
    """Reading a setting starts the container behind it."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def __getitem__(self, name: str) -> str:
        from tests.stack_containers import NoImage

        try:
            return self._containers.settings(OWNERS[name])[name]
        except NoImage as error:
            pytest.skip(str(error))

    def start(self, *servers: str) -> None:
        """A container would come back at another port than the settings say that a test has read."""
        pytest.skip("single servers are stopped and killed by scripts/stack alone")

    stop = kill = start


@pytest.fixture(scope="session")
def stack() -> Iterator[Servers]:
    """The settings of all servers, and their switches."""
    if os.environ.get("STACK") != "testcontainers":
        yield Servers()
        return
    from tests.stack_containers import Containers  # a Docker client that no other test needs

    with Containers(stack_values()) as containers:
        yield ContainerServers(containers)


def stack_values() -> dict[str, str]:
    """infrastructure/stack/stack.env, overruled by the environment."""
    lines = (ROOT / "infrastructure" / "stack" / "stack.env").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: os.environ.get(name, value) for name, value in named.items()}


def run_stack(*arguments: str) -> str:
    """What scripts/stack prints."""
    command = [sys.executable, str(ROOT / "scripts" / "stack"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"scripts/stack {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout
