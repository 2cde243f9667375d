"""Redis and MinIO as containers, on the way that STACK=testcontainers takes. Skipped where no Docker engine runs or it lacks the images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from localmind.model import TenantId
from tests.s3_server import blobs_of
from tests.stack_containers import Containers, engine_problem, has_image, image
from tests.stack_servers import ContainerServers, stack_values

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def servers() -> Iterator[ContainerServers]:
    problem = engine_problem()
    if problem:
        pytest.skip(problem)
    missing = [name for name in (image(server, stack_values()) for server in ("redis", "minio")) if not has_image(name)]
    if missing:
        # Not pulled: a test run should not be what downloads them.
        pytest.skip(f"the Docker engine has no {', '.join(missing)}: run scripts/images servers redis minio, or pull them")
    with Containers(stack_values()) as containers:
        yield ContainerServers(containers)


def test_redis_in_a_container_hands_messages_on(servers: ContainerServers) -> None:
    with redis.Redis.from_url(servers["REDIS_URL"], socket_timeout=5) as client:
        client.rpush("letters", "one", "two")
        assert client.blpop(["letters"], timeout=5) == (b"letters", b"one")
        assert client.lrange("letters", 0, -1) == [b"two"]


def test_redis_in_a_container_wants_its_password(servers: ContainerServers) -> None:
    address = servers["REDIS_URL"].rpartition("@")[2]
    with redis.Redis.from_url(f"redis://:wrong@{address}", socket_timeout=5) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_minio_in_a_container_keeps_blobs(servers: ContainerServers) -> None:
    blobs = blobs_of(servers)
    blobs.open()
    key, size = blobs.put(TenantId("ann"), b"bytes in a container")
    assert size == 20
    assert blobs.read(TenantId("ann"), key) == b"bytes in a container"
    assert list(blobs.keys(TenantId("ann"))) == [key]
    blobs.close()
