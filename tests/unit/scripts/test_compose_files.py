"""The compose file and what it starts, as far as it can be told without an engine."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
NERDCTL = ROOT / "infrastructure/nerdctl"
COMPOSE = yaml.safe_load((NERDCTL / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_the_containers_have_the_runbooks_names() -> None:
    names = {name: service.get("container_name") for name, service in SERVICES.items()}
    wanted = {"backend": "sce-backend", "neo4j": "sce-cognitive-brain", "milvus": "memory-bank", "etcd": "sce-etcd", "redis": "broker"}
    assert wanted.items() <= names.items() and names["catalog"] == "catalog"


def test_no_secret_has_a_default_that_works() -> None:
    text = (NERDCTL / "compose.yaml").read_text()
    secret = re.compile(r"PASSWORD|SECRET|_KEY$")
    defaults = {name for name, _ in re.findall(r"\$\{(\w+):-([^}]+)\}", text) if secret.search(name)}
    assert defaults == {"MINIO_ACCESS_KEY"}, "which is a name, not a secret"
    required = set(re.findall(r"\$\{(\w+):\?", text))
    example = dict(re.findall(r"^(\w+)=(.*)$", (NERDCTL / ".env.example").read_text(), re.MULTILINE))
    assert required == {name for name, value in example.items() if not value}
    assert required <= set((ROOT / "scripts/compose-secrets").read_text().replace(";", " ").split())


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"check"}))
def test_every_service_is_bounded_checked_and_rotates_its_log(name: str) -> None:
    service = SERVICES[name]
    assert "mem_limit" in service and service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}
    assert service["cap_drop"] == ["ALL"] and "inner" in service["networks"]
    assert re.fullmatch(r"\$\{\w+_IMAGE:-[^}]+:[^}]*\d[^}]*\}", service["image"]), "settable, and pinned to a version"
    assert all(re.match(r"\$\{BIND_ADDRESS:-127\.0\.0\.1\}:", port) for port in service.get("ports", []))


def test_only_who_publishes_or_calls_out_leaves_the_inner_network() -> None:
    assert COMPOSE["networks"]["inner"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outer" in service.get("networks", [])}
    assert outside == {"backend", "worker", "maintenance", "web", "prometheus", "alertmanager", "grafana", "ollama"}
    assert {name for name, service in SERVICES.items() if "network_mode" in service} == {"check"}, "which looks whether a port is free"


def test_every_volume_is_used_and_every_mount_is_made_here_or_beside() -> None:
    mounts = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", []) if not mount.startswith("$")}
    assert {mount for mount in mounts if not mount.startswith(".")} == set(COMPOSE["volumes"])
    assert all((NERDCTL / mount).is_file() for mount in mounts if mount.startswith("./"))


def test_the_example_names_the_images_that_are_the_default() -> None:
    example = (NERDCTL / ".env.example").read_text()
    for name, image in re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", (NERDCTL / "compose.yaml").read_text()):
        assert f"# {name}={image}\n" in example


def test_compose_secrets_fills_in_what_is_empty_and_nothing_else(tmp_path: Path) -> None:
    for path in ("scripts/compose-secrets", "infrastructure/nerdctl/.env.example"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    env = tmp_path / "infrastructure/nerdctl/.env"
    env.write_text("NEO4J_PASSWORD=mine\nREDIS_PASSWORD=\n")
    for _ in range(2):
        subprocess.run(["sh", tmp_path / "scripts/compose-secrets"], check=True, capture_output=True)
    values = dict(line.split("=", 1) for line in env.read_text().splitlines())
    assert values.pop("NEO4J_PASSWORD") == "mine"
    assert len(values) == 6 and all(re.fullmatch("[0-9a-f]{64}", value) for value in values.values())
    assert len(set(values.values())) == 6 and env.stat().st_mode & 0o777 == 0o600


# --- the health check


@contextmanager
def answering(status: int, body: bytes = b"catalog is away") -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path in ("/readyz", "/metrics") else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def check(port: int, who: str = "backend") -> subprocess.CompletedProcess[str]:
    ports = {"PORT": str(port), "WORKER_METRICS_PORT": str(port)}
    return subprocess.run([ROOT / "scripts/healthcheck.sh", who], env={**os.environ, **ports}, capture_output=True, text=True)


def test_the_health_check_follows_readyz() -> None:
    with answering(200) as port:
        assert check(port).returncode == 0
    with answering(503) as port:
        told = check(port)
    assert told.returncode == 1 and "answers 503: catalog is away" in told.stderr
    told = check(port)
    assert told.returncode == 1 and "does not answer" in told.stderr and "Traceback" not in told.stderr


def test_a_worker_is_well_once_a_process_has_the_stores_open() -> None:
    with answering(200, b"# HELP worker_processes_open\nworker_processes_open 2.0\n") as port:
        assert check(port, "worker").returncode == 0
    with answering(200, b"machine_cpus 2.0\n") as port:
        told = check(port, "worker")
    assert told.returncode == 1 and "worker_not_open" in told.stderr


def test_the_health_check_wants_to_know_of_whom() -> None:
    assert check(1, who="").returncode == 2
