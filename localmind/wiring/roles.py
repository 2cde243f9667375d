"""What a process of Local Mind is, and the settings that this needs."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from localmind.errors import ConfigurationError, MissingExtra
from localmind.settings import Settings


class Role(StrEnum):
    """ALONE: one process does everything, on its own data directory, whatever servers it keeps things on.
    DOOR: one of a fleet's backends; takes work in, and leaves it to the workers. WORKER: one of those.
    """

    ALONE = "alone"
    DOOR = "door"
    WORKER = "worker"


class _Server(NamedTuple):
    setting: str
    package: str
    schemes: tuple[str, ...]


SERVERS = (
    _Server("database_url", "psycopg", ("postgresql+psycopg", "postgresql", "postgres")),
    _Server("neo4j_uri", "neo4j", ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")),
    _Server("milvus_uri", "pymilvus", ("http", "https")),
    _Server("redis_url", "redis", ("redis", "rediss")),
    _Server("minio_endpoint", "obstore", ("http", "https")),
)


def role_of(settings: Settings) -> Role:
    """The role of a process that answers requests."""
    return Role.DOOR if is_set(settings, "redis_url") else Role.ALONE


def is_set(settings: Settings, name: str) -> bool:
    return bool(value_of(settings, name))


def value_of(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def check(settings: Settings, role: Role) -> None:
    """Whether a process can have the role. Raises ConfigurationError, MissingExtra."""
    if role is Role.ALONE and is_set(settings, "redis_url"):
        raise ConfigurationError("REDIS_URL is set: documents are left to workers.", hint="Unset REDIS_URL to do without workers.")
    if role is not Role.ALONE and not is_set(settings, "redis_url"):
        raise ConfigurationError("A worker needs REDIS_URL, as the service does.", hint="Set REDIS_URL, or do without workers.")
    check_servers(settings)


def check_servers(settings: Settings) -> None:
    """Raises ConfigurationError for servers that can't work together, MissingExtra where a server's client is not installed."""
    _needs(settings, "redis_url", "database_url", "processes that share the work share the catalog")
    _needs(settings, "redis_url", "milvus_uri", "processes that share the work share the vectors")
    _needs(settings, "redis_url", "neo4j_uri", "processes that share the work share the graph")
    _needs(settings, "database_url", "neo4j_uri", "the text index of a catalog in PostgreSQL lies in Neo4j")
    _needs(settings, "minio_endpoint", "minio_access_key", "S3 asks for a key")
    _needs(settings, "minio_endpoint", "minio_secret_key", "S3 asks for a key")
    for server in SERVERS:
        if is_set(settings, server.setting):
            _check_server(settings, server)


def _needs(settings: Settings, name: str, other: str, why: str) -> None:
    if is_set(settings, name) and not is_set(settings, other):
        raise ConfigurationError(f"{name.upper()} is set, but not {other.upper()}: {why}.", hint=f"Set {other.upper()}.")


def _check_server(settings: Settings, server: _Server) -> None:
    """The address itself stays out of the message: a password may be in it."""
    try:
        address = urlsplit(value_of(settings, server.setting))
        has_host = bool(address.hostname) or "host=" in address.query  # PostgreSQL's way to name a socket's folder
        well_formed = address.scheme in server.schemes and has_host and address.port != 0
    except ValueError:
        well_formed = False
    if not well_formed:
        raise ConfigurationError(
            f"{server.setting.upper()} is not an address that can be used.",
            hint=f"It begins with one of {', '.join(f'{scheme}://' for scheme in server.schemes)} and names a host.",
        )
    if find_spec(server.package) is None:
        raise MissingExtra(
            f"{server.setting.upper()} is set, but the package {server.package} is not installed.",
            hint="Install it: pip install 'localmind[servers]'.",
        )
