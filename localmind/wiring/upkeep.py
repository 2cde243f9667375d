"""What is done to the engines while no service runs: moving them, and making their vectors anew with another model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from localmind.errors import ConfigurationError, Conflict, InvalidInput, NotFound
from localmind.operations.probes import WORKER_SILENT_S
from localmind.settings import Settings
from localmind.wiring.data_dir import lock_data_dir, make_folder
from localmind.wiring.engines import Engines, build_blobs, build_database, build_engines
from localmind.wiring.models import build_embedder, build_llm, build_refiner
from localmind.wiring.roles import SERVERS, check_servers, is_set

if TYPE_CHECKING:
    from localmind.accounts.members import Created
    from localmind.accounts.model import Role, UserId
    from localmind.catalog.catalog import Catalog
    from localmind.catalog.quotas import Held
    from localmind.embedding.port import Embedder
    from localmind.ingest.store import Store
    from localmind.limits.quotas import Quota
    from localmind.model import TenantId
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


def tenant_limits(settings: Settings, tenant: str, changes: Mapping[str, float | None]) -> tuple[Quota, Held]:
    """A tenant's limits and what it holds, after a change of some, while a service runs or not. Raises NotFound, InvalidInput."""
    from localmind.catalog.catalog import Catalog
    from localmind.catalog.migrate import migrate
    from localmind.model import TenantId
    from localmind.wiring.product import build_quotas

    check_servers(settings)
    make_folder(settings.data_dir)
    database = build_database(settings)
    try:
        migrate(database)
        quotas, owner = build_quotas(settings, Catalog(database)), TenantId(tenant)
        return quotas.change(owner, changes), quotas.held(owner)
    finally:
        database.close()


def export_person(settings: Settings, email: str, *, tenant: str | None) -> Iterator[bytes]:
    """A ZIP of all that a tenant holds on a person, while a service runs or not. Raises NotFound, InvalidInput for several tenants."""
    from localmind.privacy.export import Exports

    with open_catalog(settings) as catalog:
        person = find_member(catalog, email, tenant=tenant)
        blobs = build_blobs(settings)
        blobs.open()
        try:
            yield from Exports(catalog, blobs).of_member(person.tenant, person.user_id)
        finally:
            blobs.close()


def erase_person(settings: Settings, email: str, *, tenant: str | None, documents: bool) -> None:
    """Out of a tenant, while a service runs or not; a running one deletes documents within some minutes, another one at its start."""
    from localmind.privacy.erasure import erase_person as erase

    with open_catalog(settings) as catalog:
        person = find_member(catalog, email, tenant=tenant)
        erase(catalog, person.tenant, person.user_id, person.email, documents=documents)


def delete_tenant(settings: Settings, tenant: str, *, report: Callable[[str], None]) -> None:
    """Out of every store. Raises NotFound, and Conflict where a service runs: what it does meanwhile would stay."""
    from localmind.catalog.shredding import shred
    from localmind.privacy.tenants import delete_tenant as delete

    check_servers(settings)
    with ExitStack() as stack:
        embedder, _ = build_embedder(settings)
        engines = _open_engines(settings, embedder, stack)
        catalog = engines.store.catalog
        found = catalog.accounts.find_tenant(tenant)
        if len(found) != 1:
            raise NotFound(f"There is no tenant {tenant!r}, or several are called so.", hint="Give its id.")
        delete(engines.store, engines.network, found[0], report=report)
        shred(catalog.database)


def shred_deleted(settings: Settings) -> None:
    """Overwrite what was deleted from an SQLite catalog. Raises DataDirInUse where a service runs."""
    from localmind.catalog.shredding import shred

    make_folder(settings.data_dir)
    with ExitStack() as stack:
        stack.callback(lock_data_dir(settings.data_dir).release)
        with open_catalog(settings) as catalog:
            shred(catalog.database)


class Person(NamedTuple):
    tenant: TenantId
    user_id: UserId
    email: str


def find_member(catalog: Catalog, email: str, *, tenant: str | None) -> Person:
    """Raises NotFound; InvalidInput where the tenant has to be named."""
    from localmind.accounts.emails import canonical

    account = catalog.accounts.by_email(canonical(email))
    places = [] if account is None else [place.tenant for place in catalog.accounts.places(account.id)]
    if tenant is not None:
        places = [place for place in places if place in catalog.accounts.find_tenant(tenant)]
    if account is None or not places:
        raise NotFound(f"There is no account {email!r}{'' if tenant is None else ' in that tenant'}.")
    if len(places) > 1:
        raise InvalidInput(f"{email} belongs to several tenants.", hint=f"Name one with --tenant: {', '.join(places)}.")
    return Person(places[0], account.id, account.email)


def _settings_of(settings: Settings, place: Path | None) -> Settings:
    if place is not None:
        empty = {server.setting: type(getattr(settings, server.setting))("") for server in SERVERS}
        return settings.model_copy(update=empty | {"data_dir": place.expanduser().absolute()})
    if not is_set(settings, "database_url"):
        raise ConfigurationError("No servers are set.", hint="Set DATABASE_URL, NEO4J_URI and MILVUS_URI, as .env.example shows.")
    check_servers(settings)
    return settings


def _open(settings: Settings, embedder: Embedder, stack: ExitStack, *, reset_vectors: bool = False) -> Store:
    return _open_engines(settings, embedder, stack, reset_vectors=reset_vectors).store


def _open_engines(settings: Settings, embedder: Embedder, stack: ExitStack, *, reset_vectors: bool = False) -> Engines:
    """For this process alone as far as can be told."""
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
    return engines
