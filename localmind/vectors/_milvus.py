"""Milvus' connection and collection: the schema, who made it, and what the server's errors mean."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localmind.errors import ConfigurationError, CorruptIndex, DiskFull, LocalMindError, MissingExtra, StoreUnavailable

if TYPE_CHECKING:
    from pymilvus import MilvusClient

SCHEMA_VERSION = 1
"""Rises when fields or their meaning change."""

PROPERTY = "localmind"
"""The collection's property that tells, as JSON, what made it: {"schema", "model", "dim"}."""

PARTITIONS = 16
"""Tenants are spread over them by hash. A search reads its tenant's alone; each that is written to holds a segment in memory."""

HNSW = {"M": 16, "efConstruction": 200}

CONNECT_S = 5.0
REFUSED_S = 1.0
"""After a failure to reach the server, calls fail at once for so long; then one tries again."""

RECONNECT_MS = 1000
"""gRPC waits up to two minutes between tries by itself."""

MAX_ID = 64
NOT_THERE = 100
NOT_LOADED = frozenset({101, 103})
AUTHENTICATION = ("unauthenticated", "auth check failure", "permission_denied", "permission deny")
UNREACHABLE = ("unavailable", "deadline_exceeded", "fail connecting", "retry timeout", "cancelled", "channel closed", "closed channel")


class Missing(StoreUnavailable):
    """The collection is not there, or not ready: to be made, or loaded, again."""


class NotLoaded(Missing): ...


class Unreachable(StoreUnavailable):
    """Nobody answers at MILVUS_URI."""


class Connection:
    """A gRPC channel that many threads share. It is made at the first call, mends itself, and a server that is away costs no waiting."""

    def __init__(self, uri: str, token: str, *, timeout_s: float, ca: Path | None) -> None:
        self._uri = uri
        self._token = token
        self._timeout_s = timeout_s
        self._ca = ca
        self._connecting = threading.Lock()
        self._state = threading.Lock()
        self._client: MilvusClient | None = None
        self._failed_at = -REFUSED_S  # when (monotonic) it could not connect
        self._retry_at: float | None = None  # None: the server answered last time

    def close(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
            if client is not None:
                client.close()

    def call(self, method: str, *args: Any, timeout_s: float | None = None, **kwargs: Any) -> Any:
        """A call of MilvusClient. Raises Missing, Unreachable, StoreUnavailable, DiskFull, ConfigurationError."""
        self._pass()
        try:
            with _translated():
                answer = getattr(self._connected(), method)(*args, timeout=timeout_s or self._timeout_s, **kwargs)
        except Unreachable:
            with self._state:
                self._retry_at = time.monotonic() + REFUSED_S
            raise
        self._retry_at = None
        return answer

    def _pass(self) -> None:
        """Lets a call through, while the server is away one a second."""
        with self._state:
            now = time.monotonic()
            if self._retry_at is None:
                return
            if now < self._retry_at:
                raise _unreachable("it did not a moment ago")
            self._retry_at = now + REFUSED_S

    def _connected(self) -> MilvusClient:
        client = self._client
        if client is not None:
            return client
        with self._connecting:
            if self._client is None:
                if time.monotonic() - self._failed_at < REFUSED_S:  # while this one waited for the lock
                    raise _unreachable("it did not a moment ago")
                try:
                    self._client = self._connect()
                except Exception:
                    self._failed_at = time.monotonic()
                    raise
            return self._client

    def _connect(self) -> MilvusClient:
        client_class = _import_client()
        options = {
            "grpc.max_reconnect_backoff_ms": RECONNECT_MS,
            "grpc.initial_reconnect_backoff_ms": 100,
        }
        secure = {"server_pem_path": str(self._ca)} if self._ca and self._uri.startswith("https://") else {}
        # Not shared with others that use pymilvus in this process, so that close() closes it.
        return client_class(
            self._uri, token=self._token, timeout=min(CONNECT_S, self._timeout_s), dedicated=True, grpc_options=options, **secure
        )


@cache
def _import_client() -> type[MilvusClient]:
    """pymilvus loads a .env of its own, and logs what it also raises; neither is wanted."""
    before = os.environ.get("PYTHON_DOTENV_DISABLED")
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise MissingExtra("Vectors in Milvus need pymilvus.", hint="Run `pip install 'localmind[servers]'`.") from error
    finally:
        if before is None:
            del os.environ["PYTHON_DOTENV_DISABLED"]
        else:
            os.environ["PYTHON_DOTENV_DISABLED"] = before
    for name in ("pymilvus", "pymilvus.milvus_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    client_class: type[MilvusClient] = MilvusClient
    return client_class


# --- the collection


@dataclass(frozen=True)
class Made:
    """What a collection was made for. id: the server's, another after a drop."""

    schema: int
    model: str
    dim: int
    id: int = 0

    def suits(self, other: Made) -> bool:
        return (self.model, self.dim) == (other.model, other.dim)

    @property
    def text(self) -> str:
        return json.dumps({"schema": self.schema, "model": self.model, "dim": self.dim})


def describe(connection: Connection, name: str, *, timeout_s: float | None = None) -> Made | None:
    """None where there is no collection. Raises ConfigurationError for one of somebody else's, or of a newer version."""
    try:
        told = connection.call("describe_collection", name, timeout_s=timeout_s)
    except Missing:
        return None
    made = _read(told)
    if made is None:
        raise ConfigurationError(f"The collection {name} in Milvus was not made by Local Mind.", hint="Set another MILVUS_COLLECTION.")
    if made.schema > SCHEMA_VERSION:
        raise ConfigurationError(
            f"The collection {name} in Milvus was made by a newer version (schema {made.schema}; this one knows {SCHEMA_VERSION}).",
            hint="Update this process, or set another MILVUS_COLLECTION.",
        )
    return made


def _read(told: Mapping[str, Any]) -> Made | None:
    try:
        values = json.loads(told["properties"][PROPERTY])
        return Made(int(values["schema"]), str(values["model"]), int(values["dim"]), int(told["collection_id"]))
    except (KeyError, TypeError, ValueError):
        return None


def create(connection: Connection, name: str, made: Made, *, timeout_s: float | None = None) -> None:
    """Harmless where another process does the same; does not wait until it is loaded."""
    _import_client()
    from pymilvus import CollectionSchema, DataType, FieldSchema

    fields = [
        FieldSchema("id", DataType.VARCHAR, is_primary=True, max_length=2 * MAX_ID + 1),
        FieldSchema("tenant", DataType.VARCHAR, is_partition_key=True, max_length=MAX_ID),
        FieldSchema("source_id", DataType.VARCHAR, max_length=MAX_ID),
        FieldSchema("vector", DataType.FLOAT_VECTOR, dim=made.dim),
    ]
    schema = CollectionSchema(fields, description="Local Mind: chunks' embeddings", enable_dynamic_field=False)
    connection.call(
        "create_collection",
        name,
        schema=schema,
        num_partitions=PARTITIONS,
        num_shards=1,
        consistency_level="Bounded",
        properties={PROPERTY: made.text},
        timeout_s=timeout_s,
    )


def load(connection: Connection, name: str, *, timeout_s: float | None = None, wait: bool = True) -> None:
    """Index it, where it has none, and have it loaded; wait until it can be searched."""
    index = _import_client().prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="COSINE", params=HNSW)
    connection.call("create_index", name, index, sync=False, timeout_s=timeout_s)  # what is written is searched meanwhile
    connection.call("load_collection", name, timeout_s=timeout_s, _async=not wait)


# --- errors


def _unreachable(reason: str) -> Unreachable:
    return Unreachable(f"Milvus does not answer: {reason}.", service="milvus", hint="Is the server at MILVUS_URI up?")


@contextmanager
def _translated() -> Iterator[None]:
    """Turns pymilvus' errors into ours."""
    _import_client()
    import grpc
    from pymilvus.exceptions import ConnectionConfigException, MilvusException

    try:
        yield
    except ConnectionConfigException as error:
        raise ConfigurationError(f"MILVUS_URI is not understood: {error.message}.", hint="Write http://host:19530.") from error
    except MilvusException as error:
        raise _meaning(error.code, str(error.message)) from error
    except grpc.RpcError as error:
        status = getattr(error, "code", lambda: "no status")()
        raise _meaning(status, getattr(error, "details", lambda: "")() or str(status)) from error
    except ValueError as error:  # grpc's word for a channel that another thread has closed
        if "closed channel" not in str(error).lower():
            raise
        raise _unreachable("the connection was closed") from error


def _meaning(code: Any, reason: str) -> LocalMindError:
    told = f"{code} {reason}".lower()
    short = reason.splitlines()[0][:200].rstrip(". ") if reason else str(code)
    if code in NOT_LOADED or "collection not loaded" in told or "wait for loading" in told or "wait_for_loading" in told:
        return NotLoaded(f"Milvus has not loaded the collection: {short}.", service="milvus")
    if code == NOT_THERE or "collection not found" in told:
        return Missing(f"Milvus has no such collection: {short}.", service="milvus")
    if any(sign in told for sign in AUTHENTICATION):
        return ConfigurationError("Milvus refuses the user or the key.", hint="Set MILVUS_TOKEN (user:password, or an API key).")
    if "disk quota" in told or "no space left" in told:
        return DiskFull(f"Milvus can't store more: {short}.", hint="Give its object store more room.")
    if any(sign in told for sign in UNREACHABLE):
        return _unreachable(short)
    if "schema mismatch" in told or "field not exist" in told:
        return CorruptIndex(
            f"The collection in Milvus is not as it was made: {short}.",
            hint="Stop the service and run `localmind reembed`; nothing is lost.",
        )
    return StoreUnavailable(f"Milvus could not do it: {short}.", service="milvus")
