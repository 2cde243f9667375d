"""Which servers go together, and what is said of those that don't."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localmind.errors import ConfigurationError
from localmind.settings import Settings
from localmind.wiring import Role, build, check, role_of

SERVERS = {
    "redis_url": "redis://:swordfish@127.0.0.1:1/0",
    "database_url": "postgresql+psycopg://someone:swordfish@127.0.0.1:1/localmind",
    "milvus_uri": "http://127.0.0.1:1",
    "neo4j_uri": "bolt://127.0.0.1:1",
    "neo4j_password": "swordfish",
}


def settings(*left_out: str, **changes: Any) -> Settings:
    chosen = {name: value for name, value in SERVERS.items() if name not in left_out}
    return Settings(_env_file=None, **(chosen | changes))  # type: ignore[call-arg]


def test_a_service_with_redis_leaves_the_work_to_workers_and_one_without_does_it() -> None:
    assert role_of(settings()) is Role.DOOR
    assert role_of(settings("redis_url")) is Role.ALONE


@pytest.mark.parametrize("role", [Role.DOOR, Role.WORKER])
def test_a_whole_fleet_is_taken(role: Role) -> None:
    check(settings(), role)


@pytest.mark.parametrize(
    ("chosen", "role", "told"),
    [
        (settings("database_url"), Role.DOOR, "Set DATABASE_URL"),
        (settings("milvus_uri"), Role.WORKER, "Set MILVUS_URI"),
        (settings("neo4j_uri"), Role.DOOR, "Set NEO4J_URI"),
        (settings("redis_url", "neo4j_uri"), Role.ALONE, "Set NEO4J_URI"),
        (settings("redis_url"), Role.WORKER, "Set REDIS_URL"),
        (settings(), Role.ALONE, "Unset REDIS_URL"),
        (settings(minio_endpoint="http://127.0.0.1:1"), Role.DOOR, "Set MINIO_ACCESS_KEY"),
        (settings(database_url="mysql://u:swordfish@h/d"), Role.DOOR, "postgresql+psycopg://"),
        (settings(milvus_uri="127.0.0.1:19530"), Role.DOOR, "http://"),
        (settings(neo4j_uri="http://127.0.0.1:7474"), Role.DOOR, "bolt://"),
        (settings(redis_url="redis://:swordfish@:bad"), Role.DOOR, "redis://"),
    ],
)
def test_what_can_not_work_is_refused_with_what_to_set(chosen: Settings, role: Role, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check(chosen, role)
    assert told in refused.value.hint
    assert "swordfish" not in str(refused.value)


def test_each_server_may_be_used_without_workers(tmp_path: Path) -> None:
    for only in ("milvus_uri", "neo4j_uri"):
        alone = Settings(_env_file=None, data_dir=tmp_path, **{only: SERVERS[only]})  # type: ignore[call-arg,arg-type]
        assert build(alone).role is Role.ALONE


def test_engines_are_named_in_health_as_what_they_are(tmp_path: Path) -> None:
    door = build(settings(data_dir=tmp_path), wake=lambda: None)
    assert set(door.engines.names.values()) == {"postgresql", "milvus", "neo4j", "blobs"}
    alone = build(Settings(_env_file=None, data_dir=tmp_path))  # type: ignore[call-arg]
    assert set(alone.engines.names.values()) == {"catalog", "vectors", "graph", "blobs"}
    assert not list(tmp_path.iterdir()), "composing connects to nothing and writes nothing"
