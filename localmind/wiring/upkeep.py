"""What is done to the engines while no service runs: moving them, and making their vectors anew with another model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from localmind.errors import ConfigurationError, Conflict
from localmind.operations.probes import WORKER_SILENT_S
from localmind.settings import Settings
from localmind.wiring.data_dir import lock_data_dir, make_folder
from localmind.wiring.engines import build_database, build_engines
from localmind.wiring.models import build_embedder, build_llm, build_refiner
from localmind.wiring.roles import SERVERS, check_servers, is_set

if TYPE_CHECKING:
    from localmind.accounts.members import Created
    from localmind.accounts.model import Role
    from localmind.catalog.catalog import Catalog
    from localmind.embedding.port import Embedder
    from localmind.ingest.store import Store
    from localmind.operations.estimate import Estimate
    from localmind.operations.moving import Progress
    from localmind.operations.reports import MoveReport, RebuildReport

REEMBEDDING = "reembed"
"""Setting of a catalog whose vectors are not all there: they are being made anew."""


def move_between(settings: Settings, origin: Path | None, target: Path | None, *, report: Progress) -> MoveReport:
    """From one place to the other; None: the servers that the settings name, a path: the embedded engines in that folder.

    Raises Conflict where a service runs or the target holds something else, ConfigurationError where no server is set.
    """
    from localmind.operations.moving import move

    with ExitStack() as stack:
        embedder, _ = build_embedder(settings)
        source, destination = (_open(_settings_of(settings, place), embedder, stack) for place in (origin, target))
        return move(source, destination, report=report)


def reembed(settings: Settings, *, report: Callable[[int, int], None]) -> RebuildReport:
    """Forget all vectors and make them anew with the model of the settings. Raises Conflict where a service runs."""
    from localmind.extraction.keyphrase import KeyphraseExtractor
    from localmind.ingest.extractions import Extractions
    from localmind.ingest.judging import Context
    from localmind.ingest.reconcile import Maintenance
    from localmind.ingest.resolution import Resolution

    check_servers(settings)
    with ExitStack() as stack:
        embedder, _ = build_embedder(settings)
        embedder.open()  # first: nothing is forgotten for a model that can't be had
        stack.callback(embedder.close)
        store = _open(settings, embedder, stack, reset_vectors=True)
        extractions = Extractions(store.catalog, KeyphraseExtractor(), llm_version=None)
        resolution = Resolution(store, extractions, Context(store.graph, embedder), None)
        maintenance = Maintenance(store, embedder, extractions, resolution, data_dir=settings.data_dir)
        made = maintenance.remake(("vectors",), report)
        store.catalog.set_setting(REEMBEDDING, None)
        return made


def estimate(settings: Settings, paths: Sequence[Path], *, report: Callable[[int, int], None]) -> Estimate:
    """What these files would cost the LLM of the settings; without one, what they would cost one with these prices."""
    from localmind.extraction.keyphrase import KeyphraseExtractor
    from localmind.llm.metering import Prices
    from localmind.llm.openai import OpenAILLM
    from localmind.operations.estimate import estimate as estimate_files
    from localmind.readers.sandbox import Readers

    _, tokenizer = build_embedder(settings)
    llm = build_llm(settings) or OpenAILLM("", "", settings.llm_model, timeout_s=1)  # never asked
    extractor = build_refiner(settings, llm, KeyphraseExtractor())
    assert extractor is not None
    readers = Readers(settings)
    readers.open()
    try:
        return estimate_files(
            paths,
            readers,
            tokenizer,
            extractor,
            Prices(settings.llm_price_input, settings.llm_price_output),
            chunk_tokens=settings.chunk_tokens,
            overlap_tokens=settings.chunk_overlap_tokens,
            report=report,
        )
    finally:
        readers.close()


def create_user(settings: Settings, email: str, password: str, role: Role, *, tenant: str, name: str = "") -> Created:
    """An account in the catalog, while a service runs or not. Raises InvalidInput for an address or a password that will not do."""
    from localmind.accounts.members import Members
    from localmind.accounts.passwords import Passwords

    with open_catalog(settings) as catalog:
        passwords = Passwords(memory_kib=settings.password_memory_kib, rounds=settings.password_rounds)
        members = Members(catalog, passwords, logins=None, authentication=None)
        return members.create_user(email, password, role, tenant=tenant, name=name)


@contextmanager
def open_catalog(settings: Settings) -> Iterator[Catalog]:
    """The catalog alone, which processes share, whether a service runs or not."""
    from localmind.catalog.catalog import Catalog
    from localmind.catalog.migrate import migrate

    check_servers(settings)
    make_folder(settings.data_dir)
    database = build_database(settings)
    try:
        migrate(database)
        yield Catalog(database)
    finally:
        database.close()


def _settings_of(settings: Settings, place: Path | None) -> Settings:
    if place is not None:
        empty = {server.setting: type(getattr(settings, server.setting))("") for server in SERVERS}
        return settings.model_copy(update=empty | {"data_dir": place.expanduser().absolute()})
    if not is_set(settings, "database_url"):
        raise ConfigurationError("No servers are set.", hint="Set DATABASE_URL, NEO4J_URI and MILVUS_URI, as .env.example shows.")
    check_servers(settings)
    return settings


def _open(settings: Settings, embedder: Embedder, stack: ExitStack, *, reset_vectors: bool = False) -> Store:
    """The engines, for this process alone as far as can be told."""
    from localmind.catalog.migrate import migrate

    make_folder(settings.data_dir)
    if not is_set(settings, "database_url"):
        stack.callback(lock_data_dir(settings.data_dir).release)
    engines = build_engines(settings, embedder)
    database = engines.store.catalog.database
    stack.callback(database.close)
    migrate(database)
    if not database.is_sqlite and (there := engines.store.catalog.workers.alive(within_s=WORKER_SILENT_S)):
        names = ", ".join(f"{'worker' if each.queues else 'backend'} {each.pid} on {each.host}" for each in there)
        raise Conflict(f"The service runs: {names}.", hint="Stop it first; what was killed is forgotten after half a minute.")
    if reset_vectors:
        engines.store.catalog.set_setting(REEMBEDDING, True)
        engines.store.vectors.reset()
    engines.open(stack)
    return engines.store
