"""What a fleet asks beside its engines: Redis, and whether any worker is there."""

from __future__ import annotations

from localmind.catalog.catalog import Catalog
from localmind.errors import StoreUnavailable
from localmind.versions import check_version

REDIS_TIMEOUT_S = 2.0

WORKER_SILENT_S = 30.0
"""A worker that was not seen for so long is taken for gone."""


def ask_redis(url: str, *, ca_file: str = "") -> str:
    """Its version. Raises StoreUnavailable, or ConfigurationError where it is too old."""
    import redis

    tls = {"ssl_ca_certs": ca_file} if ca_file and url.startswith("rediss:") else {}
    # By the protocol that every Redis knows: an old one shall say how old it is.
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S, **tls)
    try:
        version = str(client.info("server")["redis_version"])
    except (redis.RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}.", service="redis", hint="Start it, or mend REDIS_URL.") from error
    finally:
        client.close()
    check_version("Redis", version)
    return version


def require_workers(catalog: Catalog) -> int:
    """How many workers there are. Raises StoreUnavailable where there is none."""
    seen = [each for each in catalog.workers.alive(within_s=WORKER_SILENT_S) if each.queues]
    if not seen:
        raise StoreUnavailable("No worker was seen lately.", service="workers", hint="Start one: see docs/runbook/worker-down.md.")
    return len(seen)
