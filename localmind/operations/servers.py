"""Doctor's look at each server: whether it answers, with what, and how to mend it where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from localmind.accounts.mode import needs_login
from localmind.errors import LocalMindError
from localmind.model import PERSONAL
from localmind.operations import probes
from localmind.operations.passwords import weak_passwords
from localmind.operations.reports import Check
from localmind.settings import Settings

if TYPE_CHECKING:
    from localmind.wiring import LocalMind
    from localmind.wiring.engines import Engine

PAGES = {
    "postgresql": "Start PostgreSQL, or mend DATABASE_URL: docs/runbook/postgresql-unhealthy.md.",
    "neo4j": "Start Neo4j, or mend NEO4J_URI and NEO4J_PASSWORD: docs/runbook/neo4j-unhealthy.md.",
    "milvus": "Start Milvus with its etcd and MinIO, or mend MILVUS_URI: docs/runbook/milvus-unhealthy.md.",
    "minio": "Start MinIO, or mend MINIO_ENDPOINT and its keys: docs/runbook/minio-unhealthy.md.",
    "redis": "Start Redis, or mend REDIS_URL: docs/runbook/redis-down.md. Documents are worked off meanwhile, a second later.",
    "workers": "Start one with REDIS_URL and the others set: docs/runbook/worker-down.md.",
}


def look_at_passwords(settings: Settings) -> Check:
    """Only where other machines reach the service: a laptop's servers listen for it alone."""
    faults = weak_passwords(settings) if needs_login(settings) else {}
    if not faults:
        return Check("passwords", True, "none that could be guessed")
    told = "; ".join(f"{name}: its password {fault}" for name, fault in faults.items())
    return Check("passwords", False, told, "Set another, in the server too; `openssl rand -hex 24` makes one.")


def look_at_servers(mind: LocalMind, *, opened: bool) -> Iterator[Check]:
    """One check a server that is set. opened: this process has the engines open; else each is opened for the look."""
    redis_url = mind.settings.redis_url.get_secret_value()
    looks: dict[str, Callable[[], str]] = {
        "postgresql": lambda: _look_at_postgresql(mind),
        "neo4j": lambda: f"{mind.store.graph.count_entities(PERSONAL)} entities",
        "milvus": lambda: f"{mind.store.vectors.count(PERSONAL)} vectors in {mind.settings.milvus_collection}",
        "minio": lambda: f"bucket {mind.settings.minio_bucket}, {len(list(mind.store.blobs.tenants()))} tenants",
        "redis": lambda: f"version {probes.ask_redis(redis_url, ca_file=mind.settings.tls_ca_file)}",
        "workers": lambda: f"{probes.require_workers(mind.catalog)} at work",
    }
    engines: dict[str, Engine] = {"neo4j": mind.store.graph, "milvus": mind.store.vectors, "minio": mind.store.blobs}
    there = {*mind.engines.names.values(), *(("redis", "workers") if redis_url else ())}
    for name in (name for name in looks if name in there):
        yield _tried(name, looks[name], None if opened else engines.get(name))
    if not opened and "postgresql" in there:
        mind.catalog.database.close()


def _tried(name: str, look: Callable[[], str], engine: Engine | None) -> Check:
    try:
        with ExitStack() as stack:
            if engine is not None:
                engine.open()
                stack.callback(engine.close)
            return Check(name, True, look())
    except LocalMindError as error:
        return Check(name, False, error.message, f"{error.hint} {PAGES[name]}".strip())
    except Exception as error:  # whatever a driver raises is the finding; its text may hold the address, and so a password
        return Check(name, False, type(error).__name__, PAGES[name])


def _look_at_postgresql(mind: LocalMind) -> str:
    from localmind.catalog import row_security
    from localmind.catalog.migrate import HEAD, revision

    found = revision(mind.catalog.database)
    with mind.catalog.database.read() as connection:
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        is_held = row_security.holds(connection)
    schema = (
        "nothing stored yet" if found is None else f"schema {found}" + ("" if found == HEAD else f", the next start brings it to {HEAD}")
    )
    wall = "" if is_held else "; its role is a superuser's, or bypasses row-level security: use another as a second wall between tenants"
    return f"version {version}, {schema}{wall}"
