"""With an LLM: after a document is searchable, the model's entities join the keyphrases, chunk by chunk, from where it stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from localmind.catalog.jobs import BULK
from localmind.errors import Cancelled, ConfigurationError, LLMUnavailable, LocalMindError
from localmind.extraction.joined import joined
from localmind.extraction.port import Extractor, PaidExtractor, Passage
from localmind.graph.port import ChunkExtraction
from localmind.ids import text_hash
from localmind.ingest import job_spans
from localmind.ingest.budget import Budget
from localmind.ingest.context import about
from localmind.ingest.failures import Failures
from localmind.ingest.store import Store
from localmind.llm.metering import Spent
from localmind.model import Chunk, ExtractedEntity, ExtractedRelation, Extraction, Job, JobId, JobStatus, SourceId, Stage, TenantId
from localmind.operations import metrics, tracing

BATCH_CHUNKS = 16
"""Chunks between two commits, at least: what a kill repeats comes from the cache."""

JOBS_AT_ONCE = 2

LOOK_S = 30.0
"""How often somebody looks for documents that waited for a budget."""


@dataclass(slots=True)
class _Run:
    """One attempt at a job. done: chunks that were looked at; lacking: those of them that have nothing of the model's."""

    job: Job
    title: str
    total: int
    usage: dict[str, Any]
    done: int = 0
    lacking: int = 0
    extracted: int = 0
    stopped: LocalMindError | None = None
    """Why the model is not asked any more: it is away, or the budget is spent. Chunks that the cache has are written all the same."""
    waits_until: float | None = None

    @property
    def missing(self) -> int:
        return self.total - self.done + self.lacking


class Enrich:
    def __init__(
        self,
        store: Store,
        extractor: PaidExtractor,
        keyphrases: Extractor,
        failures: Failures,
        budget: Budget,
        *,
        announce: Callable[[Iterable[JobId]], None],
        is_stopping: Callable[[Job], bool],
        batch_chunks: int = BATCH_CHUNKS,
    ) -> None:
        """keyphrases: what the chunks were made searchable with. is_stopping: whether to leave the job for the next worker.

        batch_chunks: asked about at once, and kept together.
        """
        self._store, self._extractor, self._keyphrases, self._failures, self._budget = store, extractor, keyphrases, failures, budget
        self._announce, self._is_stopping, self._batch_chunks = announce, is_stopping, max(batch_chunks, BATCH_CHUNKS)
        self._pool = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="ingest-enrich")
        self._jobs: dict[JobId, Job] = {}
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """The job is searchable; it ends when every chunk was asked about, or can't be for now."""
        with self._lock:
            self._jobs[job.id] = job
        self._pool.submit(self._work, job)

    def jobs(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def go_on_loop(self, stopping: threading.Event) -> None:
        """Until it is told to stop: queue what waited for a budget when its time has come."""
        while not stopping.wait(LOOK_S):
            try:
                self.go_on()
            except Exception as error:  # a store is away: the next look finds them still
                structlog.get_logger(__name__).warning("go_on_failed", error_type=type(error).__name__, exc_info=error)

    def go_on(self) -> int:
        """Queue the documents whose budget's period is over; returns how many."""
        return sum(len(queue_missing(self._store, tenant, sources)) for tenant, sources in self._store.catalog.extractions.due().items())

    def _work(self, job: Job) -> None:
        try:
            with about(job):
                self._enrich(job)
        except Exception as error:
            job_spans.end(job, error)
            self._failures.give_up(job, error)
        finally:
            job_spans.end(job)
            with self._lock:
                self._jobs.pop(job.id, None)
            self._announce([job.id])

    def _enrich(self, job: Job) -> None:
        assert job.source_id is not None
        catalog = self._store.catalog
        revision = catalog.sources.revision(job.tenant, job.source_id, job.version)
        run = _Run(job, revision.title, revision.chunks, _usage_of(job))
        for batch in catalog.chunks.of_source(job.tenant, job.source_id, batch=self._batch_chunks):
            if self._is_stopping(job):
                return
            with tracing.span("extract", {"localmind.chunks": len(batch)}):
                self._batch(run, batch)
            with catalog.database.write(job.tenant):
                self._confirm(job)
                self._note(run)
                progress = min(run.done / max(run.total, 1), 0.99)
                catalog.jobs.progress([(job, Stage.EXTRACT, progress)], got_on=run.extracted > 0)
            self._announce([job.id])
        self._end(run)

    def _batch(self, run: _Run, chunks: Sequence[Chunk]) -> None:
        """Put into the graph what the model says of these chunks, now or before; all keep their keyphrases."""
        tenant, catalog = run.job.tenant, self._store.catalog
        hashes = [text_hash(chunk.text) for chunk in chunks]
        found = {key: unpack(value) for key, value in catalog.extractions.kept(tenant, self._extractor.version, hashes).items()}
        lacking = {key: chunk for chunk, key in zip(chunks, hashes, strict=True) if key not in found}  # equal texts are asked about once
        run.extracted = 0
        while lacking and run.stopped is None:
            found |= self._ask(run, lacking)
        answered = [(chunk, found[key]) for chunk, key in zip(chunks, hashes, strict=True) if key in found]
        own = self._keyphrases.extract([Passage(run.title, chunk.heading, chunk.text) for chunk, _ in answered])
        written = [
            ChunkExtraction(chunk.source_id, chunk.id, joined(said, result.extraction), chunk.text)
            for (chunk, said), result in zip(answered, own, strict=True)
        ]
        self._confirm(run.job)
        self._store.naming.write(tenant, written)
        run.done += len(chunks)
        run.lacking += len(chunks) - len(written)

    def _ask(self, run: _Run, lacking: dict[str, Chunk]) -> dict[str, Extraction]:
        """The model's answers about texts, by their hashes; kept, and paid for, in one transaction. Takes what it asked out of `lacking`.

        Where the budget does not go as far as all of them, it is as many as it allows; where it allows none, the run is stopped.
        """
        tenant, catalog = run.job.tenant, self._store.catalog
        keys, passages = self._affordable(run, lacking)
        if not passages:
            return {}
        started = time.monotonic()
        asked = self._extractor.ask(passages)
        metrics.llm_extraction_duration_seconds.observe((time.monotonic() - started) / len(passages))
        run.stopped = asked.stopped
        for key in keys:
            lacking.pop(key)
        answers = {key: result for key, result in zip(keys, asked.results, strict=True) if result is not None}
        fresh = {key: result.extraction for key, result in answers.items() if result.problem is None}
        run.extracted += len(fresh)
        assert run.job.source_id is not None
        with catalog.database.write(tenant):
            if catalog.sources.ids_with(tenant, [run.job.source_id]):  # of a document that was deleted meanwhile nothing is kept
                catalog.extractions.keep(tenant, self._extractor.version, {key: asdict(value) for key, value in fresh.items()})
            self._pay(run, asked.spent, len(fresh))
        return fresh

    def _affordable(self, run: _Run, lacking: Mapping[str, Chunk]) -> tuple[list[str], list[Passage]]:
        keys = list(lacking)
        passages = [Passage(run.title, chunk.heading, chunk.text) for chunk in lacking.values()]
        account = self._budget.account(run.job.tenant)
        while passages and not self._budget.allows(account, self._extractor.estimate(passages)):
            passages = passages[: len(passages) // 2]
        if not passages:
            run.stopped, run.waits_until = self._budget.spent_error(account), account.until.timestamp()
        return keys[: len(passages)], passages

    def _pay(self, run: _Run, spent: Spent, extracted: int) -> None:
        cost = self._budget.spend(run.job.tenant, spent)
        before = Spent(run.usage["calls"], run.usage["prompt_tokens"], run.usage["completion_tokens"])
        run.usage |= before.plus(spent)._asdict()
        run.usage["cost"] = round(run.usage["cost"] + cost, 6)
        run.usage["extracted"] += extracted
        self._store.catalog.jobs.set_usage(run.job, run.usage)

    def _note(self, run: _Run) -> None:
        """How far it is: in the source's facts and the job's."""
        row = {"source_id": run.job.source_id, "version": run.job.version, "missing": run.missing, "waits_until": run.waits_until}
        self._store.catalog.sources.update_revision([row])
        run.usage["cached"] = max(0, run.done - run.lacking - run.usage["extracted"])
        self._store.catalog.jobs.set_usage(run.job, run.usage)

    def _confirm(self, job: Job) -> None:
        """An answer can take minutes, in which the job was cancelled or became another worker's. Raises Cancelled."""
        if not self._store.catalog.jobs.confirm([job]):
            raise Cancelled("The job was cancelled.")

    def _end(self, run: _Run) -> None:
        """It succeeded: the document is searchable. What was left out is told with it; while the model is away it is tried again first."""
        job, catalog = run.job, self._store.catalog
        error = _left_out(run) if run.missing else None
        if error is not None and isinstance(run.stopped, LLMUnavailable) and self._failures.try_again(job, run.stopped, error):
            return
        assert job.source_id is not None
        count = self._store.graph.entities_of(job.tenant, [job.source_id]).get(job.source_id, 0)
        with catalog.database.write(job.tenant):
            catalog.sources.update_revision([{"source_id": job.source_id, "version": job.version, "entities": count}])
            catalog.jobs.finish([job], JobStatus.SUCCEEDED, error=error)


def queue_missing(
    store: Store, tenant: TenantId, sources: Sequence[tuple[SourceId, int]], *, priority: int = BULK
) -> dict[SourceId, JobId]:
    """Queue jobs that go on with the extraction of these sources' versions; of those that no job works on already."""
    with store.catalog.alone(tenant):
        busy = store.catalog.jobs.open_among(tenant, [source for source, _ in sources])
        chosen = [(source, version) for source, version in sources if source not in busy]
        if not chosen:
            return {}
        store.catalog.sources.update_revision([{"source_id": s, "version": version, "waits_until": None} for s, version in chosen])
        ids = store.catalog.jobs.add(tenant, [("ingest", source, version, priority) for source, version in chosen])
    return dict(zip((source for source, _ in chosen), ids, strict=True))


def unpack(value: Any) -> Extraction:
    """A cached result as it was kept."""
    return Extraction(
        tuple(ExtractedEntity(**entity) for entity in value["entities"]),
        tuple(ExtractedRelation(**relation) for relation in value["relations"]),
    )


def _usage_of(job: Job) -> dict[str, Any]:
    return {**Spent()._asdict(), "cost": 0.0, "extracted": 0, "cached": 0, **(job.usage or {})}


def _left_out(run: _Run) -> dict[str, Any]:
    """What a person is told of the chunks that have nothing of the model's."""
    told = f"{run.missing} of {run.total} chunks have no entities of the model's and keep what was found without it"
    hint = "`localmind reingest --missing` asks again."
    if run.stopped is not None:
        reason, told, hint = run.stopped.error_type, f"{told}: {run.stopped.message}", f"{run.stopped.hint} {hint}".strip()
    else:
        reason, told = "unreadable", f"{told}: its answers could not be used."
        hint = f"{hint} A larger model, or one with JSON output, helps."
    if isinstance(run.stopped, ConfigurationError):
        hint = f"{run.stopped.hint} Then `localmind reingest --missing` asks again."
    return {
        "type": "extraction_incomplete",
        "message": told,
        "hint": hint,
        "stage": Stage.EXTRACT,
        "retryable": True,
        "reason": reason,
        "left_out": run.missing,
    }
