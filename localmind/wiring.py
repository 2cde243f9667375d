"""The one place where settings become objects. Every door, and every test, builds the product here."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localmind.errors import ConfigurationError, DataDirInUse, DiskFull, StoreUnavailable
from localmind.model import PERSONAL
from localmind.settings import Settings

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from localmind.catalog.catalog import Catalog
    from localmind.chat.conversations import Conversations
    from localmind.chat.service import Chat
    from localmind.embedding.port import Embedder, Tokenizer
    from localmind.extraction.port import Extractor
    from localmind.graph.port import Graph
    from localmind.ingest.jobs import Jobs
    from localmind.ingest.pipeline import Pipeline
    from localmind.ingest.prepare import Prepare
    from localmind.ingest.reconcile import Maintenance
    from localmind.ingest.sources import Sources
    from localmind.ingest.store import Store
    from localmind.llm.port import LLM
    from localmind.operations.health import Health
    from localmind.readers.sandbox import Readers
    from localmind.retrieval.search import Search

SERVERS = ("database_url", "neo4j_uri", "milvus_uri", "redis_url", "minio_endpoint")


@dataclass(frozen=True)
class LocalMind:
    """The composed product. open() before use; close() after."""

    settings: Settings
    catalog: Catalog
    store: Store
    sources: Sources
    jobs: Jobs
    search: Search
    chat: Chat
    conversations: Conversations
    graph: Graph
    embedder: Embedder
    readers: Readers
    health: Health
    maintenance: Maintenance
    pipeline: Pipeline
    _opening: Callable[[LocalMind, ExitStack], None]
    _stack: ExitStack

    def open(self) -> None:
        """Take the data directory, open every engine and start to work. Raises DataDirInUse, DimensionMismatch, CorruptIndex, DiskFull."""
        with ExitStack() as stack:
            self._opening(self, stack)
            self._stack.push(stack.pop_all())

    def close(self) -> None:
        """In reverse. Safe to call twice."""
        self._stack.close()


def build(settings: Settings) -> LocalMind:
    """Compose the product; connects to nothing and takes no lock. Raises ConfigurationError."""
    from localmind.blobs.local import LocalBlobs
    from localmind.catalog.catalog import Catalog
    from localmind.catalog.database import Database, sqlite_url
    from localmind.chat.conversations import Conversations
    from localmind.chat.service import Chat
    from localmind.extraction.keyphrase import KeyphraseExtractor
    from localmind.graph.sql import SqlGraph
    from localmind.ingest.accept import Accept
    from localmind.ingest.enrich import Enrich
    from localmind.ingest.events import Changes
    from localmind.ingest.failures import Failures
    from localmind.ingest.jobs import Jobs
    from localmind.ingest.pipeline import Pipeline
    from localmind.ingest.prepare import Prepare
    from localmind.ingest.reconcile import Maintenance
    from localmind.ingest.sources import Sources
    from localmind.ingest.store import Store
    from localmind.operations.health import Health
    from localmind.readers.sandbox import Readers
    from localmind.retrieval.search import Search
    from localmind.text.fts5 import Fts5Text
    from localmind.vectors.lancedb import LanceVectors

    refuse_servers(settings)
    folder = settings.data_dir
    database = Database(sqlite_url(folder / "catalog.db"))
    catalog = Catalog(database)
    embedder, tokenizer = build_embedder(settings)
    vectors = LanceVectors(folder / "vectors", model=embedder.model, dim=embedder.dim)
    store = Store(catalog, LocalBlobs(folder / "blobs"), vectors, Fts5Text(database), SqlGraph(database))
    keyphrases = KeyphraseExtractor()
    llm = build_llm(settings)
    refiner = _build_refiner(settings, llm, keyphrases)
    changes = Changes()
    failures = Failures(store, attempts=settings.job_attempts)
    readers = Readers(settings)
    pipeline = Pipeline(
        store, embedder, keyphrases, changes=changes, failures=failures, readers=settings.readers, lease_s=settings.job_lease_s
    )
    if refiner is not None:
        pipeline.enrich = Enrich(store, refiner, failures, announce=changes.announce, is_cancelled=pipeline.is_cancelled)
    accept = Accept(store, max_bytes=settings.max_upload_bytes, wake=pipeline.wake)
    prepare = Prepare(
        store,
        accept,
        readers,
        tokenizer,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
        max_bytes=settings.max_upload_bytes,
        report=pipeline.report,
        is_cancelled=pipeline.is_cancelled,
    )
    search = Search(catalog, embedder, vectors, store.text, store.graph)
    conversations = Conversations(database)
    chat = Chat(search, conversations, embedder, llm, context_tokens=settings.context_window)
    version = refiner.version if refiner is not None else None
    probes: dict[str, Callable[[], object]] = {
        "catalog": partial(catalog.setting, "guides"),
        "vectors": partial(vectors.count, PERSONAL),
        "graph": partial(store.graph.get, PERSONAL, []),
        "blobs": store.blobs.tenants,
        "workers": partial(_require_alive, pipeline),
    }
    return LocalMind(
        settings=settings,
        catalog=catalog,
        store=store,
        sources=Sources(store, accept, wake=pipeline.wake),
        jobs=Jobs(catalog, changes, pipeline.wake),
        search=search,
        chat=chat,
        conversations=conversations,
        graph=store.graph,
        embedder=embedder,
        readers=readers,
        health=Health(probes),
        maintenance=Maintenance(store, embedder, keyphrases, llm_version=version, data_dir=folder),
        pipeline=pipeline,
        _opening=partial(_open, prepare=prepare, llm=llm),
        _stack=ExitStack(),
    )


def build_embedder(settings: Settings) -> tuple[Embedder, Tokenizer]:
    """The embedder that the settings name, and the tokenizer that chunks are measured with."""
    from localmind.embedding.onnx import LocalEmbedder

    local = LocalEmbedder(settings.data_dir / "models", runtime=settings.embedding_runtime, threads=settings.embedding_threads)
    if settings.embedding_provider == "openai":
        from localmind.embedding.openai import OpenAIEmbedder

        if not settings.embedding_base_url:
            raise ConfigurationError("EMBEDDING_PROVIDER=openai needs EMBEDDING_BASE_URL.", hint="Set it to the endpoint, with /v1.")
        remote = OpenAIEmbedder(
            settings.embedding_base_url,
            settings.embedding_api_key.get_secret_value(),
            settings.embedding_model,
            timeout_s=settings.llm_timeout_s,
        )
        return remote, local
    if settings.embedding_provider == "sentence-transformers":
        from localmind.embedding.sentence_transformers import SentenceTransformersEmbedder

        model = SentenceTransformersEmbedder(settings.embedding_model)
        return model, model
    if settings.embedding_model != local.model:
        raise ConfigurationError(
            f"The bundled embedding model is {local.model}, not {settings.embedding_model}.",
            hint="Set EMBEDDING_PROVIDER=sentence-transformers or openai for another model, or unset EMBEDDING_MODEL.",
        )
    return local, local


def build_llm(settings: Settings) -> LLM | None:
    """The LLM that the settings name; None for LLM_MODEL=mock. Raises ConfigurationError."""
    if not settings.has_llm:
        return None
    key = settings.llm_api_key.get_secret_value()
    if settings.llm_provider == "anthropic":
        from localmind.llm.anthropic import AnthropicLLM

        return AnthropicLLM(settings.llm_base_url, key, settings.llm_model, timeout_s=settings.llm_timeout_s)
    from localmind.llm.openai import OpenAILLM

    if not settings.llm_base_url:
        raise ConfigurationError(f"LLM_MODEL={settings.llm_model} needs LLM_BASE_URL.", hint="Set it to the endpoint, with /v1.")
    return OpenAILLM(settings.llm_base_url, key, settings.llm_model, timeout_s=settings.llm_timeout_s)


def _build_refiner(settings: Settings, llm: LLM | None, fallback: Extractor) -> Extractor | None:
    if llm is None:
        return None
    from localmind.extraction.llm import LLMExtractor

    return LLMExtractor(llm, concurrency=settings.llm_concurrency, fallback=fallback)


def refuse_servers(settings: Settings) -> None:
    """A server that is set and not used would be a silent lie. Raises ConfigurationError."""
    for name in SERVERS:
        value = getattr(settings, name)
        if value if isinstance(value, str) else value.get_secret_value():
            raise ConfigurationError(
                f"{name.upper()} is set, but this version runs on the embedded engines only.", hint=f"Unset {name.upper()}."
            )


# --- opening


def _open(mind: LocalMind, stack: ExitStack, *, prepare: Prepare, llm: LLM | None) -> None:
    from localmind.catalog.migrate import migrate
    from localmind.ingest.seed import seed_guides

    folder = mind.settings.data_dir
    _make_folder(folder)
    stack.callback(lock_data_dir(folder).release)
    # The embedder (OpenVINO) and the vectors (LanceDB) take their time to import: beside each other, and beside the migrations.
    warm = threading.Thread(target=_quietly(mind.embedder.open), name="warm-embedder", daemon=True)
    warm.start()
    stack.callback(mind.catalog.database.close)
    migrate(mind.catalog.database)
    for engine in (mind.store.blobs, mind.store.text, mind.store.graph, mind.store.vectors):
        engine.open()
        stack.callback(engine.close)
    warm.join()
    mind.embedder.open()  # raises here what went wrong there
    stack.callback(mind.embedder.close)
    if llm is not None:
        stack.callback(llm.close)
    mind.readers.open()
    stack.callback(mind.readers.close)
    _recover(mind, folder)
    stack.callback((folder / "running").unlink, missing_ok=True)
    if mind.settings.seed_guides:
        seed_guides(mind.catalog, mind.sources)
    mind.pipeline.start(prepare)
    stack.callback(mind.pipeline.close)
    mind.health.start()
    stack.callback(mind.health.close)


def _recover(mind: LocalMind, folder: Path) -> None:
    """With the data directory locked no other worker is alive: what was running is queued again."""
    mind.catalog.jobs.release_lost(everything=True)
    marker = folder / "running"
    if marker.exists():  # the last process did not close
        mind.maintenance.sweep_blobs()
    marker.touch()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".write-{os.getpid()}-{secrets.token_hex(4)}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        if error.errno == 28:
            raise DiskFull(f"DATA_DIR {folder} is on a full disk.", hint="Free some space.") from error
        raise ConfigurationError(
            f"DATA_DIR {folder} can't be written: {error.strerror}.", hint="Set DATA_DIR to a folder that this user may write."
        ) from error


def lock_data_dir(folder: Path) -> BaseFileLock:
    """Taken; release() gives it back. The folder has to be there. Raises DataDirInUse."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DataDirInUse(
            f"DATA_DIR {folder} is in use by another Local Mind.", hint="Use that one, stop it, or set another DATA_DIR."
        ) from error
    return lock


def _require_alive(pipeline: Pipeline) -> None:
    if not pipeline.is_alive:
        raise StoreUnavailable("A worker thread has ended.", service="workers")


def _quietly(action: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            action()
        except Exception:  # the caller runs it again, and meets the same error where it can be told
            return

    return run
