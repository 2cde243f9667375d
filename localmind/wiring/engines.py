"""Each port's engine: the server where one is set, else the embedded one."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from localmind.errors import LocalMindError, StoreUnavailable, Unavailable
from localmind.model import PERSONAL, EntityId
from localmind.settings import Settings
from localmind.wiring.roles import is_set, value_of

if TYPE_CHECKING:
    from localmind.blobs.port import Blobs
    from localmind.catalog.database import Database
    from localmind.communities.port import EntityNetwork
    from localmind.embedding.port import Embedder
    from localmind.graph.port import Graph
    from localmind.ingest.store import Store
    from localmind.operations.health import Probe
    from localmind.text.port import TextIndex
    from localmind.vectors.port import Vectors

EMBEDDED_BATCH, MILVUS_BATCH = 128, 512
"""Chunks of a batch. A call of a server has its price; on the embedded engines larger batches were not faster, and a kill costs more."""


NO_ENTITY = EntityId("probe")
"""A server is asked for it; without any it would not be asked at all."""

LATE_S = 2.0
"""Between two tries to open an engine that could not be reached."""


@dataclass(frozen=True)
class Engines:
    """store: the ports. network: the graph as communities are found in it. names: what /health calls them; a server by its own name."""

    store: Store
    network: EntityNetwork
    names: dict[str, str]
    probes: dict[str, Probe]
    batch_chunks: int

    @property
    def catalog_name(self) -> str:
        return self.names["catalog"]

    def open(self, stack: ExitStack, *, patient: bool = False) -> None:
        """Every engine, closed in reverse with the stack; the catalog has to be migrated before.

        patient: one that can't be reached is opened as soon as it can be, and what needs it says StoreUnavailable until then.
        """
        late: list[Engine] = []
        for engine in (self.store.blobs, self.store.text, self.store.graph, self.store.vectors):
            try:
                engine.open()
            except StoreUnavailable as error:
                if not patient:
                    raise
                structlog.get_logger(__name__).warning("engine_away", service=error.data.get("service"), error=str(error))
                late.append(engine)
            stack.callback(engine.close)
        if late:
            stopping = threading.Event()
            thread = threading.Thread(target=_open_late, args=(late, stopping), name="open-late", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(stopping.set)


class Engine(Protocol):
    """What every engine can do, whatever its port."""

    def open(self) -> None: ...
    def close(self) -> None: ...


def _open_late(engines: list[Engine], stopping: threading.Event) -> None:
    while engines and not stopping.wait(LATE_S):
        engine = engines.pop(0)
        try:
            engine.open()
        except LocalMindError as error:
            if not isinstance(error, Unavailable):  # it is there, and can't be used: /health says which, and this why
                structlog.get_logger(__name__).error("engine_not_open", error_type=error.error_type, error=str(error))
            engines.append(engine)


def build_engines(settings: Settings, embedder: Embedder) -> Engines:
    from localmind.catalog.catalog import Catalog
    from localmind.ingest.store import Store

    database = build_database(settings)
    catalog = Catalog(database)
    vectors = build_vectors(settings, embedder)
    text, graph, network = _build_text_and_graph(settings, database)
    store = Store(catalog, build_blobs(settings), vectors, text, graph)
    names = {
        "catalog": "postgresql" if is_set(settings, "database_url") else "catalog",
        "vectors": "milvus" if settings.milvus_uri else "vectors",
        "graph": "neo4j" if settings.neo4j_uri else "graph",
        "blobs": "minio" if settings.minio_endpoint else "blobs",
    }
    probes: dict[str, Probe] = {
        names["catalog"]: partial(catalog.setting, "guides"),
        names["vectors"]: partial(vectors.count, PERSONAL),
        names["graph"]: partial(graph.get, PERSONAL, [NO_ENTITY]),
        names["blobs"]: store.blobs.tenants,
    }
    batch = MILVUS_BATCH if settings.milvus_uri else EMBEDDED_BATCH
    return Engines(store, network, names, probes, batch)


def build_database(settings: Settings) -> Database:
    from localmind.catalog.database import Database, sqlite_url

    url = settings.database_url.get_secret_value()
    if not url:
        return Database(sqlite_url(settings.data_dir / "catalog.db"))
    return Database("postgresql+psycopg://" + url.split("://", 1)[1], pool=settings.database_pool)


def build_blobs(settings: Settings) -> Blobs:
    if not settings.minio_endpoint:
        from localmind.blobs.local import LocalBlobs

        return LocalBlobs(settings.data_dir / "blobs")
    from localmind.blobs.s3 import S3Blobs

    return S3Blobs(
        settings.minio_endpoint,
        settings.minio_bucket,
        value_of(settings, "minio_access_key"),
        value_of(settings, "minio_secret_key"),
        region=settings.minio_region,
        timeout_s=settings.server_timeout_s,
        ca=_ca(settings),
    )


def _ca(settings: Settings) -> Path | None:
    return Path(settings.tls_ca_file) if settings.tls_ca_file else None


def build_vectors(settings: Settings, embedder: Embedder) -> Vectors:
    if not settings.milvus_uri:
        from localmind.vectors.lancedb import LanceVectors

        return LanceVectors(settings.data_dir / "vectors", model=embedder.model, dim=embedder.dim)
    from localmind.vectors.milvus import MilvusVectors

    return MilvusVectors(
        settings.milvus_uri,
        token=value_of(settings, "milvus_token"),
        collection=settings.milvus_collection,
        model=embedder.model,
        dim=embedder.dim,
        timeout_s=settings.server_timeout_s,
        ca=_ca(settings),
    )


def _build_text_and_graph(settings: Settings, database: Database) -> tuple[TextIndex, Graph, EntityNetwork]:
    """Both in Neo4j, over one driver, or both in the catalog."""
    from localmind.graph.aliases import Aliases

    aliases = Aliases(database)
    if not settings.neo4j_uri:
        from localmind.communities.sql import SqlNetwork
        from localmind.graph.sql import SqlGraph
        from localmind.text.fts5 import Fts5Text

        return Fts5Text(database), SqlGraph(database, aliases.meanings), SqlNetwork(database)
    from localmind.communities.neo4j import Neo4jNetwork
    from localmind.graph.neo4j import Neo4jGraph
    from localmind.neo4j import Neo4jDriver
    from localmind.text.neo4j import Neo4jText

    driver = Neo4jDriver(
        settings.neo4j_uri,
        settings.neo4j_user,
        value_of(settings, "neo4j_password"),
        database=settings.neo4j_database,
        pool=settings.neo4j_pool,
        timeout_s=settings.neo4j_timeout_s,
        ca=_ca(settings) if "+s://" in settings.neo4j_uri else None,  # an authority of another server asks nothing of a plain bolt://
    )
    return Neo4jText(driver), Neo4jGraph(driver, aliases.meanings, aliases.named), Neo4jNetwork(driver)
