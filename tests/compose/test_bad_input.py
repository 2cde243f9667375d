"""What the stack says of what is wrong: in one line, the same in `ps`, the log and `localmind doctor`, and nothing starts half.

The tests are one story, told in order: `make test-compose`.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compose.compose import PROJECT, SECRETS, Compose, eventually, stack_in
from tests.compose.load import HEALTHY_S, is_well

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

TOLD_S = 150
"""A server that has data is given two minutes to get well."""

OLD_NEO4J, OLD_REDIS = "neo4j:4.4-community", "redis:5"
"""Where the engine has no such image, their tests are skipped."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    with stack_in(tmp_path_factory.mktemp("bad")) as compose:
        yield compose


# --- before anything runs


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_is_named_and_nothing_is_made(stack: Compose, name: str) -> None:
    told = stack("up", "-d", ok=False, **{name: ""})
    assert name in told and "compose-secrets" in told
    assert stack.services() == {}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SECRET_KEY", "changeme" * 5, "SECRET_KEY is weak"),
        ("CATALOG_PASSWORD", "postgres", "DATABASE_URL: its password is weak"),
        ("NEO4J_PASSWORD", "neo4j", "NEO4J_PASSWORD: its password is weak"),
        ("REDIS_PASSWORD", "redis", "REDIS_URL: its password is weak"),
        ("MINIO_SECRET_KEY", "minioadmin", "MINIO_SECRET_KEY: its password is weak"),
        ("POSTGRES_PASSWORD", "postgres", "POSTGRES_PASSWORD is weak"),
        ("GRAFANA_PASSWORD", "admin", "GRAFANA_PASSWORD is weak"),
    ],
)
def test_a_weak_secret_is_one_line_of_the_check(stack: Compose, name: str, value: str, said: str) -> None:
    told = stack("run", "--rm", "--no-deps", "check", ok=False, **{name: value}).splitlines()
    assert [said in line for line in told].count(True) == 1, told
    assert [line.startswith("FAIL") for line in told].count(True) == 1, told


def test_what_the_check_refuses_does_not_start(stack: Compose) -> None:
    stack("up", "-d", ok=False, GRAFANA_PASSWORD="admin")
    nothing_runs(stack)
    assert [line for line in check_said(stack) if line.startswith("FAIL")] == [
        "FAIL others' passwords: GRAFANA_PASSWORD is weak: it has fewer than 12 characters"
    ]


def test_a_port_in_use_is_told_before_the_start(stack: Compose) -> None:
    with socket.create_server(("127.0.0.1", stack.port)):
        stack("up", "-d", ok=False)
        nothing_runs(stack)
    assert [line for line in check_said(stack) if line.startswith("FAIL")] == [f"FAIL port: another program has 127.0.0.1:{stack.port}"]


def test_a_full_disk_is_told_before_the_start(stack: Compose) -> None:
    stack("down", "--volumes")
    small = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=64m,uid=10001,gid=10001"]
    subprocess.run(["docker", "volume", "create", *small, f"{PROJECT}_data"], check=True, capture_output=True)
    stack("up", "-d", ok=False)
    nothing_runs(stack)
    assert [line for line in check_said(stack) if line.startswith("FAIL")] == ["FAIL data: /data, 0.1 GB free"]
    stack("down", "--volumes")


# --- of a stack that has data


@pytest.fixture(scope="module")
def filled(stack: Compose) -> Compose:
    stack("up", "-d")
    eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)
    return stack


@pytest.mark.parametrize(
    ("server", "setting", "value"),
    [
        ("neo4j", "NEO4J_PASSWORD", "not-this-one-123"),
        ("postgresql", "DATABASE_URL", "postgresql+psycopg://localmind:not-this-one-123@catalog:5432/localmind"),
        ("redis", "REDIS_URL", "redis://:not-this-one-123@redis:6379/0"),
        ("minio", "MINIO_SECRET_KEY", "not-this-one-123"),
    ],
)
def test_a_wrong_password_is_one_line_of_doctor(filled: Compose, server: str, setting: str, value: str) -> None:
    checks = doctor(filled, **{setting: value})
    ill = [name for name in ("postgresql", "neo4j", "milvus", "minio", "redis") if name in checks and not checks[name]["ok"]]
    assert ill == [server]
    assert "not-this-one" not in json.dumps(checks) and "\n" not in checks[server]["detail"]


def test_a_password_that_neo4j_was_not_made_with_is_told_everywhere(filled: Compose) -> None:
    stack, said = filled, "Neo4j refuses NEO4J_USER and NEO4J_PASSWORD"
    other = {"NEO4J_PASSWORD": "another-one-4711"}
    stack("up", "-d", **other)
    eventually(lambda: {"backend", "worker"} <= stack.unwell().keys() and said in stack("logs", "backend"), stack.unwell, TOLD_S)
    assert said in stack("logs", "worker")
    assert doctor(stack, alone=True, **other)["neo4j"]["detail"].startswith(said)
    stack("up", "-d")
    eventually(lambda: not stack.unwell() and is_well(stack), stack.unwell, HEALTHY_S)


def test_a_password_that_the_catalog_was_not_made_with_starts_nothing_above_it(filled: Compose) -> None:
    stack, other = filled, {"CATALOG_PASSWORD": "another-one-4711"}
    stack("down")
    told = stack("up", "-d", ok=False, **other)
    assert "catalog is unhealthy" in told
    states = {name: each["State"] for name, each in stack.services().items()}
    assert states["backend"] == states["worker"] == states["maintenance"] == "created"
    assert 'password authentication failed for user "localmind"' in stack("logs", "catalog")
    assert not doctor(stack, alone=True, **other)["postgresql"]["ok"]


def test_a_neo4j_that_is_too_old_is_told_everywhere(stack: Compose) -> None:
    need(OLD_NEO4J)
    stack("down", "--volumes")
    old, said = {"NEO4J_IMAGE": OLD_NEO4J}, "Neo4j is too old: it speaks Bolt 4.4; 5.23 or newer is needed"
    stack("up", "-d", **old)
    eventually(lambda: {"backend", "worker"} <= stack.unwell().keys() and said in stack("logs", "backend"), stack.unwell, TOLD_S)
    eventually(lambda: said in stack("logs", "worker"), lambda: stack("logs", "worker"), TOLD_S)
    assert doctor(stack, alone=True, **old)["neo4j"]["detail"].startswith(said)


def test_a_redis_that_is_too_old_is_told_everywhere(stack: Compose) -> None:
    need(OLD_REDIS)
    stack("down", "--volumes")
    old, said = {"REDIS_IMAGE": OLD_REDIS}, "Redis is version 5."
    stack("up", "-d", **old)
    eventually(lambda: "worker" in stack.unwell() and said in stack("logs", "backend"), stack.unwell, TOLD_S)
    assert stack.client.get("/health").json()["services"]["redis"] == "unhealthy"
    assert doctor(stack)["redis"]["detail"].startswith(said)


# --- what the tests ask


def need(image: str) -> None:
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode:
        pytest.skip(f"the engine lacks {image}")


def nothing_runs(stack: Compose) -> None:
    states = {service: each["State"] for service, each in stack.services().items()}
    assert states.pop("check") == "exited" and set(states.values()) == {"created"}, states


def check_said(stack: Compose) -> list[str]:
    return stack("logs", "check", "--no-log-prefix").splitlines()


def doctor(stack: Compose, *, alone: bool = False, **settings: str) -> dict[str, Any]:
    """Its checks by name. alone: in a container of its own with the stack's settings, where the backend does not run; else beside it."""
    command = ("localmind", "doctor", "--json")
    if alone:
        told = stack("run", "--rm", "--no-deps", "-T", "backend", *command, ok=False, **settings)
    else:
        told = stack.in_backend(*command, ok=False, **settings)
    return {check["name"]: check for check in json.loads(told[told.index("[\n") : told.rindex("]") + 1])}
