"""Whether the servers' passwords are worth anything; asked where the service is reached from other machines."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from localmind.accounts.mode import is_loopback, weakness
from localmind.settings import Settings

LEAST_CHARS, LEAST_VARIETY = 12, 6
SERVERS_OWN = ("postgres", "neo4j", "minioadmin", "redis", "milvus", "12345678")
"""What servers come with, and what is tried first."""


def weak_passwords(settings: Settings) -> dict[str, str]:
    """What is wrong with each, without the password, by the setting's name. Servers on this machine's loopback count for nothing."""
    faults = {name: fault_of(password) for name, (address, password) in _set(settings).items() if not is_loopback(_host(address))}
    return {name: fault for name, fault in faults.items() if fault}


def fault_of(password: str) -> str | None:
    """What is wrong with a server's password, without it; None where nothing is."""
    if password.lower() in SERVERS_OWN:
        return "is weak: it is one that servers come with"
    return weakness(password, least_bytes=LEAST_CHARS, least_variety=LEAST_VARIETY)


def _set(settings: Settings) -> dict[str, tuple[str, str]]:
    """Address and password of every server that is set and asks for one."""
    database, redis = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    servers = {
        "DATABASE_URL": (database, _of(database)),
        "NEO4J_PASSWORD": (settings.neo4j_uri, settings.neo4j_password.get_secret_value()),
        "REDIS_URL": (redis, _of(redis)),
        "MINIO_SECRET_KEY": (settings.minio_endpoint, settings.minio_secret_key.get_secret_value()),
    }
    return {name: server for name, server in servers.items() if server[0]}


def _of(url: str) -> str:
    return unquote(_parts(url)[1])


def _host(url: str) -> str:
    return _parts(url)[0]


def _parts(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.password or ""
    except ValueError:  # what is no address is told by whoever connects to it
        return "", ""
