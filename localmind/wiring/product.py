"""The composed product, for each role of a process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from localmind.errors import StoreUnavailable
from localmind.settings import Settings
from localmind.wiring.engines import Engines, build_engines
from localmind.wiring.models import build_embedder, build_llm, build_refiner, build_reranker
from localmind.wiring.opening import open_product
from localmind.wiring.roles import Role, check, role_of, value_of

if TYPE_CHECKING:
    from localmind.accounts.accounts import Accounts
    from localmind.catalog.catalog import Catalog
    from localmind.chat.conversations import Conversations
    from localmind.chat.service import Chat
    from localmind.communities.keeper import Keeper
    from localmind.communities.upkeep import Upkeep
    from localmind.embedding.port import Embedder, Tokenizer
    from localmind.extraction.port import Extractor, PaidExtractor
    from localmind.graph.port import Graph
    from localmind.ingest.accept import Accept
    from localmind.ingest.budget import Budget
    from localmind.ingest.events import Changes
    from localmind.ingest.jobs import Jobs
    from localmind.ingest.pipeline import Pipeline
    from localmind.ingest.prepare import Prepare
    from localmind.ingest.reconcile import Maintenance
    from localmind.ingest.resolution import Resolution
    from localmind.ingest.sources import Sources
    from localmind.ingest.store import Store
    from localmind.limits.quotas import Quotas
    from localmind.limits.usage import UsageMeter
    from localmind.llm.port import LLM
    from localmind.model import TenantId
    from localmind.operations.audit import Audit
    from localmind.operations.figures import Figures
    from localmind.operations.health import Health, Probe
    from localmind.operations.maintenance_mode import MaintenanceMode
    from localmind.privacy.privacy import Privacy
    from localmind.readers.sandbox import Readers
    from localmind.retrieval.mentions import Mentions
    from localmind.retrieval.search import Search

Wake = Callable[[], None]


@dataclass(frozen=True)
class LocalMind:
    """The composed product. open() before use; close() after. engines: which one stands behind each port, for who looks after them."""

    settings: Settings
    role: Role
    engines: Engines
    catalog: Catalog
    accounts: Accounts
    audit: Audit
    privacy: Privacy
    store: Store
    sources: Sources
    jobs: Jobs
    budget: Budget
    quotas: Quotas
    usage: UsageMeter
    search: Search
    chat: Chat
    conversations: Conversations
    graph: Graph
    mentions: Mentions
    resolution: Resolution
    embedder: Embedder
    readers: Readers
    health: Health
    figures: Figures
    maintenance: Maintenance
    maintenance_mode: MaintenanceMode
    pipeline: Pipeline
    """Runs in this process but for Role.DOOR, as the keeper does."""
    communities: Upkeep
    keeper: Keeper
    _opening: Callable[[LocalMind, ExitStack], None]
    _stack: ExitStack

    def open(self) -> None:
        """Open every engine and start to work. Raises DataDirInUse, DimensionMismatch, CorruptIndex, DiskFull, StoreUnavailable."""
        with ExitStack() as stack:
            self._opening(self, stack)
            self._stack.push(stack.pop_all())

    def close(self) -> None:
        """In reverse. Safe to call twice."""
        self._stack.close()


def build(settings: Settings, *, role: Role | None = None, wake: Wake = lambda: None) -> LocalMind:
    """Compose the product; connects to nothing and takes no lock. Raises ConfigurationError, MissingExtra.

    role: without one, that of a process that answers requests. wake: called by a door after it committed work; must not block.
    """
    from localmind.accounts.accounts import build_accounts
    from localmind.accounts.mode import needs_login
    from localmind.chat.conversations import Conversations
    from localmind.chat.service import Chat
    from localmind.extraction.keyphrase import KeyphraseExtractor
    from localmind.ingest.accept import Accept
    from localmind.ingest.emptying import empty
    from localmind.ingest.events import Changes
    from localmind.ingest.extractions import Extractions
    from localmind.ingest.jobs import Jobs
    from localmind.ingest.judging import Context, LLMJudge
    from localmind.ingest.reconcile import Maintenance
    from localmind.ingest.resolution import Resolution
    from localmind.ingest.sources import Sources
    from localmind.limits.usage import UsageMeter
    from localmind.operations.audit import Audit
    from localmind.operations.health import Health
    from localmind.operations.maintenance_mode import MaintenanceMode
    from localmind.privacy.privacy import build_privacy
    from localmind.readers.sandbox import Readers
    from localmind.retrieval.mentions import Mentions
    from localmind.retrieval.search import Search
    from localmind.retrieval.themes import Themes

    role = role or role_of(settings)
    check(settings, role)
    embedder, tokenizer = build_embedder(settings)
    engines = build_engines(settings, embedder)
    store, catalog = engines.store, engines.store.catalog
    keyphrases = KeyphraseExtractor()
    llm = _measured(build_llm(settings), settings)
    refiner = build_refiner(settings, llm, keyphrases)
    changes = Changes()
    extractions = Extractions(catalog, keyphrases, llm_version=refiner.version if refiner is not None else None)
    quotas = build_quotas(settings, catalog)
    usage = UsageMeter(catalog, quotas)
    budget = _build_budget(settings, catalog, quotas)
    judge = LLMJudge(llm, budget) if llm is not None else None
    resolution = Resolution(store, extractions, Context(store.graph, embedder), judge)
    pipeline = _build_pipeline(settings, engines, embedder, keyphrases, refiner, changes, budget)
    pipeline.settling.resolution = resolution
    pipeline.on_embedded = lambda tenant, chunks, tokens: usage.count(tenant, chunks=chunks, embedding_tokens=tokens)
    maintenance_mode = MaintenanceMode(catalog)
    pipeline.is_paused = maintenance_mode.is_on
    if role is not Role.DOOR:
        wake = pipeline.wake
    accept = Accept(store, max_bytes=settings.max_upload_bytes, wake=wake, quotas=quotas, usage=usage)
    readers = Readers(settings)
    themes = Themes(catalog.communities, catalog.chunks, store.graph, embedder)
    reranker = build_reranker(settings)
    search = Search(
        catalog, embedder, store.vectors, store.text, store.graph, themes, reranker=reranker, rerank_depth=settings.rerank_depth
    )
    communities, keeper = _build_communities(settings, engines, embedder, llm, pipeline, budget)
    conversations = Conversations(catalog.database)
    audit = Audit(catalog, queries=settings.audit_queries)
    sources = Sources(store, accept, wake=wake, has_llm=llm is not None)
    accounts = build_accounts(
        settings,
        catalog,
        empty=partial(empty, sources=sources, conversations=conversations),
        with_logins=needs_login(settings) and role is not Role.WORKER,
    )
    return LocalMind(
        settings=settings,
        role=role,
        engines=engines,
        catalog=catalog,
        accounts=accounts,
        audit=audit,
        privacy=build_privacy(store, accounts, sources, consent_text=settings.consent_text, is_paused=maintenance_mode.is_on),
        store=store,
        sources=sources,
        jobs=Jobs(catalog, changes, wake),
        budget=budget,
        quotas=quotas,
        usage=usage,
        search=search,
        chat=Chat(
            search,
            conversations,
            embedder,
            llm,
            context_tokens=settings.context_window,
            budget=budget,
            admit=_admit_messages(quotas, usage),
            on_answer=audit.chatted,
        ),
        conversations=conversations,
        graph=store.graph,
        mentions=Mentions(catalog, store.graph, store.naming.aliases, llm_version=extractions.llm_version),
        resolution=resolution,
        embedder=embedder,
        readers=readers,
        health=Health(_probes(settings, role, engines, pipeline), required=engines.catalog_name),
        figures=_build_figures(settings, role, catalog, pipeline),
        maintenance=Maintenance(store, embedder, extractions, resolution, data_dir=settings.data_dir, on_remade=communities.remake),
        maintenance_mode=maintenance_mode,
        pipeline=pipeline,
        communities=communities,
        keeper=keeper,
        _opening=partial(
            open_product, prepare=_build_prepare(settings, store, accept, readers, tokenizer, pipeline), llm=llm, reranker=reranker
        ),
        _stack=ExitStack(),
    )


def _build_pipeline(
    settings: Settings,
    engines: Engines,
    embedder: Embedder,
    keyphrases: Extractor,
    refiner: PaidExtractor | None,
    changes: Changes,
    budget: Budget,
) -> Pipeline:
    from localmind.ingest.enrich import Enrich
    from localmind.ingest.failures import Failures
    from localmind.ingest.pipeline import Pipeline

    failures = Failures(engines.store, attempts=settings.job_attempts)
    pipeline = Pipeline(
        engines.store,
        embedder,
        keyphrases,
        changes=changes,
        failures=failures,
        readers=settings.readers,
        lease_s=settings.job_lease_s,
        batch_chunks=engines.batch_chunks,
    )
    if refiner is not None:
        pipeline.enrich = Enrich(
            engines.store,
            refiner,
            keyphrases,
            failures,
            budget,
            announce=changes.announce,
            is_stopping=pipeline.is_cancelled,
            batch_chunks=settings.llm_concurrency * settings.extraction_chunks_per_call,
        )
    return pipeline


def _measured(llm: LLM | None, settings: Settings) -> LLM | None:
    from localmind.llm.measured import MeasuredLLM
    from localmind.llm.metering import Prices

    prices = Prices(settings.llm_price_input, settings.llm_price_output)
    return None if llm is None else MeasuredLLM(llm, prices, provider=settings.llm_provider)


def build_quotas(settings: Settings, catalog: Catalog) -> Quotas:
    """The limits that the settings give every tenant."""
    from localmind.limits.quotas import Quota, Quotas

    defaults = Quota(
        documents=settings.quota_documents,
        storage_mb=settings.quota_storage_mb,
        chunks=settings.quota_chunks,
        jobs=settings.quota_jobs,
        query_chars=settings.max_query_chars,
        message_chars=settings.max_message_chars,
        llm_tokens=settings.llm_budget_tokens,
        llm_cost=settings.llm_budget_cost,
    )
    return Quotas(catalog, defaults)


def _admit_messages(quotas: Quotas, usage: UsageMeter) -> Callable[[TenantId, str], None]:
    def admit(tenant: TenantId, message: str) -> None:
        quotas.check_message(tenant, message)
        usage.count(tenant, chats=1)

    return admit


def _build_figures(settings: Settings, role: Role, catalog: Catalog, pipeline: Pipeline) -> Figures:
    from localmind.operations.certificates import endpoints, expiries
    from localmind.operations.figures import Figures

    return Figures(
        catalog,
        settings.data_dir,
        workers=(lambda: int(pipeline.is_alive)) if role is Role.ALONE else None,
        expiries=lambda: expiries(endpoints(settings), ca_file=settings.tls_ca_file),
    )


def _build_budget(settings: Settings, catalog: Catalog, quotas: Quotas) -> Budget:
    from localmind.ingest.budget import Budget, Limits
    from localmind.llm.metering import Prices

    limits = Limits(settings.llm_budget_tokens, settings.llm_budget_cost, settings.llm_budget_period)
    prices = Prices(settings.llm_price_input, settings.llm_price_output)
    return Budget(catalog.spending, limits, prices, model=settings.llm_model, quotas=quotas)


def _build_communities(
    settings: Settings, engines: Engines, embedder: Embedder, llm: LLM | None, pipeline: Pipeline, budget: Budget
) -> tuple[Upkeep, Keeper]:
    from localmind.communities.keeper import Keeper
    from localmind.communities.upkeep import Upkeep

    store = engines.store
    upkeep = Upkeep(
        store.catalog,
        store.graph,
        engines.network,
        embedder,
        llm,
        llm_concurrency=settings.llm_concurrency,
        budget=budget,
    )
    keeper = Keeper(upkeep, busy=pipeline.busy, is_paused=lambda: pipeline.is_paused())
    pipeline.on_change = keeper.changed
    return upkeep, keeper


def _build_prepare(settings: Settings, store: Store, accept: Accept, readers: Readers, tokenizer: Tokenizer, pipeline: Pipeline) -> Prepare:
    from localmind.ingest.prepare import Prepare
    from localmind.readers.addresses import allowed
    from localmind.readers.fetch import TIMEOUT_S, Manners, fetch

    manners = Manners(allowed(settings.fetch_allow), settings.fetch_robots)
    return Prepare(
        store,
        accept,
        readers,
        tokenizer,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
        fetch=partial(fetch, max_bytes=settings.max_upload_bytes, timeout_s=TIMEOUT_S, manners=manners),
        report=pipeline.report,
        is_cancelled=pipeline.is_cancelled,
    )


def _probes(settings: Settings, role: Role, engines: Engines, pipeline: Pipeline) -> dict[str, Probe]:
    from localmind.operations import probes

    workers: Probe = partial(_require_alive, pipeline)
    if role is Role.ALONE:
        return engines.probes | {"workers": workers}
    redis = partial(probes.ask_redis, value_of(settings, "redis_url"), ca_file=settings.tls_ca_file)
    return engines.probes | {"redis": redis, "workers": partial(probes.require_workers, engines.store.catalog)}


def _require_alive(pipeline: Pipeline) -> None:
    if not pipeline.is_alive:
        raise StoreUnavailable("A worker thread has ended.", service="workers")
