"""Each port's engine: the server where one is set, else the embedded one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from localmind.model import PERSONAL
from localmind.settings import Settings
from localmind.wiring.roles import is_set, value_of

if TYPE_CHECKING:
    from localmind.blobs.port import Blobs
    from localmind.catalog.database import Database
    from localmind.embedding.port import Embedder
    from localmind.graph.port import Graph
    from localmind.ingest.store import Store
    from localmind.operations.health import Probe
    from localmind.text.port import TextIndex
    from localmind.vectors.port import Vectors

EMBEDDED_BATCH, MILVUS_BATCH = 128, 512
"""Chunks of a batch. A call of a server has its price; on the embedded engines larger batches were not faster, and a kill costs more."""


@dataclass(frozen=True)
class Engines:
    """store: the ports. names: what /health calls them; a server by its own name."""

    store: Store
    names: dict[str, str]
    probes: dict[str, Probe]
    batch_chunks: int
    _shared: list[Callable[[], None]] = field(default_factory=list)
    """Closers of what several ports use."""

    @property
    def catalog_name(self) -> str:
        return self.names["catalog"]

    def open(self, stack: ExitStack) -> None:
        """Every engine, closed in reverse with the stack; the catalog has to be migrated before."""
        for close in self._shared:
            stack.callback(close)
        for engine in (self.store.blobs, self.store.text, self.store.graph, self.store.vectors):
            engine.open()
            stack.callback(engine.close)


def build_engines(settings: Settings, embedder: Embedder) -> Engines:
    from localmind.catalog.catalog import Catalog
    from localmind.ingest.store import Store

    database = build_database(settings)
    catalog = Catalog(database)
    vectors = build_vectors(settings, embedder)
    text, graph, shared = _build_text_and_graph(settings, database)
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
        names["graph"]: partial(graph.get, PERSONAL, []),
        names["blobs"]: store.blobs.tenants,
    }
    batch = MILVUS_BATCH if settings.milvus_uri else EMBEDDED_BATCH
    return Engines(store, names, probes, batch, shared)


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
    )


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
    )


def _build_text_and_graph(settings: Settings, database: Database) -> tuple[TextIndex, Graph, list[Callable[[], None]]]:
    """Both in Neo4j, over one driver, or both in the catalog; and what closes the driver."""
    if not settings.neo4j_uri:
        from localmind.graph.sql import SqlGraph
        from localmind.text.fts5 import Fts5Text

        return Fts5Text(database), SqlGraph(database), []
    from localmind.graph.neo4j import Neo4jGraph
    from localmind.neo4j import Neo4jDriver
    from localmind.text.neo4j import Neo4jText

    driver = Neo4jDriver(
        settings.neo4j_uri,
        settings.neo4j_user,
        value_of(settings, "neo4j_password"),
        pool=settings.neo4j_pool,
        timeout_s=settings.server_timeout_s,
    )
    return Neo4jText(driver), Neo4jGraph(driver), [driver.close]
