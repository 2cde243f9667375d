"""What scripts/stack promises: each server answers a client of its own kind, and starts, stops and dies by name."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import neo4j
import psycopg
import pytest
import redis
from pymilvus import MilvusClient

from localmind.settings import Settings
from tests.s3_server import blobs_of
from tests.stack_servers import ROOT, Servers, stack_values

pytestmark = pytest.mark.stack


class Other:
    """A stack with a folder and ports of its own, of which the tests start Redis alone."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"redis://:{stack_values()['STACK_REDIS_PASSWORD']}@127.0.0.1:{port}/0"

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / "stack", *arguments],
            env={**os.environ, "STACK_DIR": str(self.folder), "STACK_REDIS_PORT": str(self.port), **env},
            capture_output=True,
            text=True,
            timeout=100,
        )

    def pid(self) -> int | None:
        """What `status` says; None when Redis is down."""
        row = re.search(rf"redis +up +{self.port} +(\d+)", self.run("status").stdout)
        return int(row[1]) if row else None


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other = Other(tmp_path / "stack", port)
    yield other
    other.run("down", "redis")


@pytest.fixture
def redis_there(other: Other) -> Iterator[redis.Redis]:
    assert other.run("up", "redis").returncode == 0
    with redis.Redis.from_url(other.url, socket_timeout=5) as client:
        yield client


def test_postgresql_gives_an_account_that_is_no_superuser_but_may_make_databases(stack: Servers) -> None:
    with psycopg.connect(stack["DATABASE_URL"].replace("+psycopg", "")) as connection:
        rights = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
        durable = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit", "full_page_writes")]
    assert rights == (False, True)
    assert durable == [("on",)] * 3


def test_neo4j_is_the_version_that_the_stack_names(stack: Servers) -> None:
    with neo4j.GraphDatabase.driver(stack["NEO4J_URI"], auth=(stack["NEO4J_USER"], stack["NEO4J_PASSWORD"])) as driver:
        record = driver.execute_query("CALL dbms.components() YIELD versions RETURN versions[0] AS version").records[0]
    assert record["version"] == stack_values()["STACK_NEO4J_VERSION"]


def test_milvus_is_the_version_that_the_stack_names(stack: Servers) -> None:
    client = MilvusClient(uri=stack["MILVUS_URI"], timeout=10)
    assert client.get_server_version().startswith(f"v{stack_values()['STACK_MILVUS_VERSION']}")
    client.close()


def test_redis_wants_its_password(stack: Servers) -> None:
    with redis.Redis.from_url(stack["REDIS_URL"], socket_timeout=5) as client:
        assert client.ping()
    anonymous = stack["REDIS_URL"].replace(":stack-redis@", "")
    with redis.Redis.from_url(anonymous, socket_timeout=5) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_minio_has_its_bucket(stack: Servers) -> None:
    blobs = blobs_of(stack)
    blobs.open()
    assert list(blobs.tenants()) == []
    blobs.close()


def test_the_settings_are_settings_of_the_product(stack: Servers) -> None:
    fields = {name.upper() for name in Settings.model_fields}
    assert set(stack) <= fields


def test_a_server_that_runs_is_not_started_again(other: Other, redis_there: redis.Redis) -> None:
    before = other.pid()
    assert before
    again = other.run("up", "redis")
    assert "as before" in again.stdout
    assert other.pid() == before


def test_what_was_written_is_there_after_a_stop_and_gone_after_a_reset(other: Other, redis_there: redis.Redis) -> None:
    redis_there.set("name", "ann")
    assert other.run("stop", "redis").returncode == 0
    assert other.pid() is None
    other.run("start", "redis")
    assert redis_there.get("name") == b"ann"
    other.run("reset")
    other.run("start", "redis")
    assert redis_there.get("name") is None


def test_a_killed_server_ends_without_a_farewell_and_starts_anew(other: Other, redis_there: redis.Redis) -> None:
    redis_there.set("unsaved", "1")
    before = other.pid()
    assert "killed" in other.run("kill", "redis").stdout
    assert other.pid() is None
    assert other.run("start", "redis").returncode == 0
    assert other.pid() not in (None, before)
    assert redis_there.get("unsaved") is None


def test_a_killed_milvus_starts_again_at_once(stack: Servers) -> None:
    """etcd still holds it for living then."""
    script = [sys.executable, str(ROOT / "scripts" / "stack")]
    for verb in ("kill", "start"):
        done = subprocess.run([*script, verb, "milvus"], capture_output=True, text=True, timeout=150)
        assert done.returncode == 0, done.stderr


def test_down_leaves_alone_what_it_did_not_start(other: Other, redis_there: redis.Redis, tmp_path: Path) -> None:
    stranger = Other(tmp_path / "elsewhere", other.port)
    assert "left alone" in stranger.run("down", "redis").stdout
    assert redis_there.ping()


def test_a_pid_that_was_given_to_another_process_is_not_ended(other: Other) -> None:
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (other.folder / "pids").mkdir(parents=True)
        (other.folder / "pids" / "redis").write_text(f"{innocent.pid} 1")
        other.run("kill", "redis")
        other.run("down", "redis")
        assert innocent.poll() is None
        innocent.kill()


def test_a_port_that_is_taken_is_named(other: Other) -> None:
    with socket.create_server(("127.0.0.1", other.port)):
        done = other.run("up", "redis")
    assert done.returncode == 1
    assert f"port {other.port}" in done.stderr
    assert "STACK_REDIS_PORT" in done.stderr


def test_a_missing_program_comes_with_the_line_that_installs_it(other: Other) -> None:
    done = other.run("up", "redis", PATH="/nowhere")
    assert done.returncode == 1
    assert "apt-get install redis-server" in done.stderr


def test_a_server_that_ends_at_once_shows_its_log(other: Other) -> None:
    (other.folder / "redis").mkdir(parents=True)
    (other.folder / "redis" / "dump.rdb").write_bytes(b"REDIS0011 no dump at all")
    done = other.run("up", "redis")
    assert done.returncode == 1
    assert "dump" in done.stderr.lower() or "rdb" in done.stderr.lower()


def test_run_gives_the_exit_code_and_leaves_running_what_ran(stack: Servers) -> None:
    dict(stack)  # all of them are up
    program = "import os; raise SystemExit(7 if os.environ['STACK'] == 'local' else 1)"
    run = [sys.executable, ROOT / "scripts" / "stack", "run", sys.executable, "-c", program]
    environment = {name: value for name, value in os.environ.items() if name != "STACK"}
    done = subprocess.run(run, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 7, done.stdout + done.stderr
    assert "stopped" not in done.stdout
    assert redis.Redis.from_url(stack["REDIS_URL"], socket_timeout=5).ping()


@pytest.mark.parametrize(("chosen", "outcome"), [("", pytest.skip.Exception), ("local", pytest.fail.Exception)])
def test_a_server_that_is_away_skips_or_fails_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, other: Other, chosen: str, outcome: type[Exception]
) -> None:
    monkeypatch.setenv("STACK_REDIS_PORT", str(other.port))
    monkeypatch.setenv("STACK", chosen)
    with pytest.raises(outcome, match="scripts/stack up"):
        Servers()["REDIS_URL"]
