"""The compose stack in a real container engine, under a project, ports and volumes of its own."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack.fleet import free_port

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infrastructure/nerdctl/compose.yaml"
COMMAND = shlex.split(os.environ.get("COMPOSE", "docker compose"))
PROJECT = "localmind-test"
SECRETS = (
    "SECRET_KEY",
    "POSTGRES_PASSWORD",
    "CATALOG_PASSWORD",
    "NEO4J_PASSWORD",
    "REDIS_PASSWORD",
    "MINIO_SECRET_KEY",
    "GRAFANA_PASSWORD",
)
EMAIL, PASSWORD = "ann@example.org", "correct horse battery staple"


@contextmanager
def stack_in(folder: Path, **settings: str) -> Iterator[Compose]:
    """Nothing of it runs yet; nothing is left of it afterwards. Skips the test where it can't be brought up."""
    if why := problem(settings.get("COMPOSE_PROFILES", "")):
        pytest.skip(why)
    compose = Compose(folder, **settings)
    try:
        yield compose
    finally:
        compose("down", "--volumes", "--remove-orphans", "--timeout", "20", ok=False)
        compose.client.close()


def problem(profiles: str) -> str | None:
    """Why the stack with these profiles can't be brought up here; None where it can."""
    if shutil.which(COMMAND[0]) is None or subprocess.run([*COMMAND, "version"], capture_output=True).returncode:
        return f"`{shlex.join(COMMAND)}` does not run (COMPOSE says another)"
    if subprocess.run(["docker", "ps"], capture_output=True).returncode:
        return "no container engine answers"
    if "sce-backend" in subprocess.run(["docker", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True).stdout.split():
        return "a Local Mind is in this engine already, and its containers have the same names"
    wanted = [line.split()[-1] for line in images(profiles)]
    missing = [name for name in wanted if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode]
    return f"the engine lacks {', '.join(missing)}: run scripts/images, or pull them" if missing else None


def images(profiles: str) -> list[str]:
    """The images that the stack takes, those of scripts/images where they are built."""
    settings = dict.fromkeys(SECRETS, "x") | dict(line.split("=", 1) for line in built().splitlines())
    command = [*COMMAND, "--env-file", "/dev/null", "-f", str(FILE), "config", "--images"]
    done = subprocess.run(command, env={**os.environ, **settings, "COMPOSE_PROFILES": profiles}, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def built() -> str:
    return subprocess.run([ROOT / "scripts/images", "env"], capture_output=True, text=True, check=True).stdout


class Compose:
    def __init__(self, folder: Path, **settings: str) -> None:
        self._env = folder / "env"
        self.port = free_port()
        self.settings = (
            {name: secrets.token_hex(24) for name in SECRETS} | {"BACKEND_PORT": str(self.port), "COMPOSE_PROFILES": ""} | settings
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    def __call__(self, *arguments: str, ok: bool = True, timeout_s: float = 300, **settings: str) -> str:
        """Output and errors of a command. settings: in place of those of the stack."""
        lines = "".join(f"{name}={value}\n" for name, value in (self.settings | settings).items())
        self._env.write_text(built() + lines)
        command = [*COMMAND, "-p", PROJECT, "--env-file", str(self._env), "-f", str(FILE), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
        assert not ok or done.returncode == 0, f"{shlex.join(arguments)}: {done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def services(self) -> dict[str, dict[str, Any]]:
        lines = self("ps", "-a", "--format", "json").splitlines()
        return {each["Service"]: each for each in map(json.loads, filter(lambda line: line.startswith("{"), lines))}

    def unwell(self) -> dict[str, str]:
        """State of every service that should run and is not healthy."""
        return {name: each["Status"] for name, each in self.services().items() if name != "check" and each["Health"] != "healthy"}

    def in_backend(self, *command: str, ok: bool = True, **environment: str) -> str:
        given = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
        return self("exec", "-T", *given, "backend", *command, ok=ok)

    def log_in(self) -> None:
        answer = self.client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def counts(self) -> Mapping[str, Any]:
        """Sources, chunks and jobs in PostgreSQL, vectors in Milvus, entities in Neo4j."""
        stats = self.client.get("/api/v1/stats").raise_for_status().json()
        return {name: stats[name] for name in ("sources", "chunks", "vectors", "entities", "jobs")}

    def differences(self) -> dict[str, Any]:
        """What `localmind reconcile --check` finds: the files, vectors, text and graph held against the catalog."""
        report = self.client.post("/api/v1/maintenance/reconcile", json={"check": True}, timeout=120).raise_for_status().json()
        return {"clean": report["clean"], "count": report["count"]}


def eventually(holds: Callable[[], bool], what: Callable[[], object], timeout_s: float) -> float:
    """Seconds that it took. There is no event for what containers do."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < timeout_s, what()
        time.sleep(0.2)
    return time.monotonic() - begun
