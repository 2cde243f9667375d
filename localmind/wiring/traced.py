"""Puts spans around what the engines and the embedding model are asked, for as long as the product is open and traces are on.

The objects themselves are given other methods, so that who has one already is traced too, and nobody pays where traces are off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy import event

from localmind.operations import tracing
from localmind.wiring.roles import Role

if TYPE_CHECKING:
    from localmind.blobs.port import Blobs
    from localmind.catalog.database import Database
    from localmind.model import TenantId
    from localmind.wiring.product import LocalMind

SERVICES = {Role.ALONE: "localmind", Role.DOOR: "localmind-backend", Role.WORKER: "localmind-worker"}

VECTORS = ("write", "append", "search", "get", "delete", "delete_sources", "count", "optimize", "drop")
TEXT = ("write", "search", "delete", "delete_sources", "clear")
GRAPH = (
    "write", "arrange", "delete", "delete_sources", "entities", "get", "link", "alike", "statements", "neighbors", "chunks", "mentioned_in",
    "mentioning", "mentions", "path", "subgraph", "count_entities", "entities_of", "said", "clear", "cypher",
)  # fmt: skip
BLOBS = ("put", "read", "exists", "delete")

# What stands after FROM may be no table, but ids that were handed in: then the table comes with a JOIN.
_STATEMENT = re.compile(r"\b(?:(UPDATE)|(INSERT)\b.*?\bINTO|(SELECT|DELETE)\b.*?\b(?:FROM|JOIN))\s+\"?(?!json_each|unnest)(\w+)", re.DOTALL)
MOST_SUMMARY_CHARS = 255


def trace(mind: LocalMind, stack: ExitStack) -> None:
    """Where the settings want traces: until the stack ends, which also sends what is left."""
    settings, store = mind.settings, mind.store
    if not tracing.start(settings, SERVICES[mind.role]):
        return
    stack.callback(tracing.stop)
    milvus = {"db.system.name": "milvus", "db.collection.name": settings.milvus_collection, **_server(settings.milvus_uri)}
    _trace(stack, store.vectors, "vectors", VECTORS, milvus if settings.milvus_uri else {"db.system.name": "lancedb"}, settings.milvus_uri)
    neo4j = {"db.system.name": "neo4j", "db.namespace": settings.neo4j_database, **_server(settings.neo4j_uri)}
    for port, name, methods in ((store.text, "text", TEXT), (store.graph, "graph", GRAPH)):
        _trace(stack, port, name, methods, neo4j if settings.neo4j_uri else {}, settings.neo4j_uri)  # in the catalog its spans tell
    s3 = {"aws.s3.bucket": settings.minio_bucket, **_server(settings.minio_endpoint)} if settings.minio_endpoint else {}
    _trace(stack, store.blobs, "blobs", BLOBS, s3, settings.minio_endpoint)
    _trace_files(stack, store.blobs, s3, settings.minio_endpoint)
    _trace_catalog(stack, mind.catalog.database)
    _trace_embedder(stack, mind)


def _trace(stack: ExitStack, port: object, name: str, methods: tuple[str, ...], attributes: tracing.Attributes, server: str) -> None:
    """A span a call, named by the method and the port. server: its address; none: it is in this process."""
    kind: tracing.Kind = "client" if server else "internal"
    is_database = "db.system.name" in attributes
    for method in methods:
        if hasattr(port, method):
            said = {**attributes, **({"db.operation.name": method} if is_database else {})}
            _replace(stack, port, method, _spanned(getattr(port, method), f"{method} {name}", said, kind))


def _spanned(call: Callable[..., Any], name: str, attributes: tracing.Attributes, kind: tracing.Kind) -> Callable[..., Any]:
    @wraps(call)
    def spanned(*args: Any, **kwargs: Any) -> Any:
        with tracing.span(name, attributes, kind=kind):
            return call(*args, **kwargs)

    return spanned


def _replace(stack: ExitStack, port: object, method: str, by: Callable[..., Any]) -> None:
    setattr(port, method, by)
    stack.callback(delattr, port, method)  # the class's own is there again


def _trace_files(stack: ExitStack, blobs: Blobs, attributes: tracing.Attributes, server: str) -> None:
    """Getting a file, not what is then done with it."""
    original = blobs.local_file

    @contextmanager
    def local_file(*args: Any) -> Iterator[Any]:
        with ExitStack() as opened:
            with tracing.span("get blobs", attributes, kind="client" if server else "internal"):
                path = opened.enter_context(original(*args))
            yield path

    _replace(stack, blobs, "local_file", local_file)


def _trace_catalog(stack: ExitStack, database: Database) -> None:
    """A span a transaction, waiting and commit included, which says what statements it had by verb and table."""
    statements: ContextVar[list[str] | None] = ContextVar("statements", default=None)
    attributes = {
        "db.system.name": "sqlite" if database.is_sqlite else "postgresql",
        **({} if database.is_sqlite else {"db.namespace": database.url.database or "", "server.address": database.url.host or ""}),
    }

    def spanned(original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def transaction(tenant: TenantId | None = None) -> Iterator[sa.Connection]:
            if statements.get() is not None:  # the one around it tells
                with original(tenant) as connection:
                    yield connection
                return
            with tracing.span("transaction", attributes, kind="internal" if database.is_sqlite else "client") as span:
                if span is None:
                    with original(tenant) as connection:
                        yield connection
                    return
                token = statements.set([])
                try:
                    with original(tenant) as connection:
                        yield connection
                finally:
                    _summarise(span, statements.get() or [])
                    statements.reset(token)

        return transaction

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        noted = statements.get()
        if noted is not None and (found := _STATEMENT.search(statement)):
            noted.append(f"{found[1] or found[2] or found[3]} {found[4]}")

    for method in ("read", "write"):
        _replace(stack, database, method, spanned(getattr(database, method)))
    event.listen(database.engine, "before_cursor_execute", note)
    stack.callback(event.remove, database.engine, "before_cursor_execute", note)


def _summarise(span: Any, noted: list[str]) -> None:
    distinct = list(dict.fromkeys(noted))
    if not distinct:
        return
    span.set_attribute("db.query.summary", "; ".join(distinct)[:MOST_SUMMARY_CHARS])
    if len(noted) > 1:
        span.set_attribute("db.operation.batch.size", len(noted))
    if len(distinct) == 1:
        span.update_name(distinct[0])
        span.set_attribute("db.operation.name", distinct[0].split()[0])


def _trace_embedder(stack: ExitStack, mind: LocalMind) -> None:
    is_remote = mind.settings.embedding_provider == "openai"
    said = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai" if is_remote else "localmind",
        "gen_ai.request.model": mind.settings.embedding_model,
        **(_server(mind.settings.embedding_base_url) if is_remote else {}),
    }
    for method in ("embed_documents", "embed_query"):
        call = getattr(mind.embedder, method)
        spanned = _spanned(call, f"embeddings {mind.settings.embedding_model}", said, "client" if is_remote else "internal")
        _replace(stack, mind.embedder, method, spanned)


def _server(address: str) -> dict[str, str | int]:
    parts = urlsplit(address)
    return {"server.address": parts.hostname or "", **({} if parts.port is None else {"server.port": parts.port})} if address else {}
