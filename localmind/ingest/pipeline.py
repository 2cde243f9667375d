"""The worker: claimed jobs run through read, chunk, embed, extract and write side by side, with bounded memory.

    prepare (one thread a reader)  ->  pump  ->  embed  ->  write  ->  (enrich, with an LLM)

Chunks of many documents share a batch, so that a thousand notes cost what one long document costs, and turns go round, so that a
note does not wait for a manual. Between stages stand queues of one batch: a slow stage holds the ones before it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial

import structlog

from localmind.catalog.jobs import Claim
from localmind.chunking import embedding_text
from localmind.embedding.port import Embedder
from localmind.errors import Cancelled, StoreUnavailable, Unavailable
from localmind.extraction.port import Extractor, Passage
from localmind.ids import random_id
from localmind.ingest import job_spans
from localmind.ingest.active import Active, Batch
from localmind.ingest.claimed import Claimed
from localmind.ingest.context import about
from localmind.ingest.enrich import Enrich
from localmind.ingest.events import Changes
from localmind.ingest.failures import Failures
from localmind.ingest.settling import Settling
from localmind.ingest.store import LeaseLost, Store, Written
from localmind.ingest.tidy import Tidy
from localmind.ingest.work import Work
from localmind.llm.tokens import estimated_tokens
from localmind.model import Job, JobId, JobStatus, SourceId, TenantId
from localmind.operations import metrics, tracing

log = structlog.get_logger(__name__)

EMBEDDERS = 2
"""Batches in the embedder at once: while one is being tokenized, or its last texts computed, the other keeps the cores busy."""

CLAIM = 32
"""Jobs taken at once, at most."""

PATIENCE_S = 300.0
"""How long a batch waits for a store that is away, before its jobs are left to whoever can reach it."""

LOOK_S = 1.0
"""How long a job that another process queued may go unseen."""

FULLER_S = 0.05
"""How long a batch waits for more chunks while the embedder is busy anyway."""

LONG_CHARS = 100_000
"""Of a document whose first batch takes long enough for a person to wonder."""

REPORT_S = 0.5
"""A job's progress is written, and a cancel noticed, at most this often."""

Prepare = Callable[[Claim], Work | None]


class Pipeline:
    """Threads that work the jobs table off until close()."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        extractor: Extractor,
        *,
        changes: Changes,
        failures: Failures,
        readers: int,
        lease_s: float,
        batch_chunks: int,
    ) -> None:
        """batch_chunks: most chunks that are embedded and written at once."""
        self._store, self._embedder, self._extractor = store, embedder, extractor
        self.enrich: Enrich | None = None
        """Takes a document on after it appeared, where there is an LLM."""
        self.settling = Settling()
        self._jobs, self._changes, self._lease_s, self._readers = store.catalog.jobs, changes, lease_s, readers
        self._failures, self._batch_chunks = failures, batch_chunks
        self.owner = random_id()
        self._active = Active()
        self._claimed = Claimed()
        self._writing = threading.Lock()
        """Held while a batch is written and its works end: nothing is taken back in the middle of that."""
        self._outages = failures.outages
        self._reported: dict[JobId, float] = {}
        self._to_embed: queue.Queue[Batch | None] = queue.Queue(1)
        self._to_write: queue.Queue[Batch | None] = queue.Queue(1)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self.on_change: Callable[[TenantId], None] = lambda _: None
        """Told which tenant's documents came or went."""
        self.on_embedded: Callable[[TenantId, int, int], None] = lambda *_: None
        """Told how many chunks were embedded for a tenant, and how many tokens they had."""
        self.is_paused: Callable[[], bool] = lambda: False
        """Whether no new job is to be taken up; what is held is finished."""
        self._tidy = Tidy(store, is_resting=lambda: not self._claimed.is_preparing and not self._active.jobs(), settle=self.settling.all)

    # --- life

    def start(self, prepare: Prepare) -> None:
        loops: list[tuple[str, Callable[[], None]]] = [
            *((f"prepare-{n}", lambda: self._prepare_loop(prepare)) for n in range(self._readers)),
            ("pump", self._pump_loop),
            *((f"embed-{n}", self._embed_loop) for n in range(EMBEDDERS)),
            ("write", self._write_loop),
            ("heartbeat", self._heartbeat_loop),
            ("tidy", lambda: self._tidy.run(self._stopping)),
        ]
        if self.enrich is not None:
            loops.append(("go-on", partial(self.enrich.go_on_loop, self._stopping)))
        self._threads = [threading.Thread(target=loop, name=f"ingest-{name}", daemon=True) for name, loop in loops]
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float = 10) -> None:
        """Stop at the next step; what is not done is queued again, and goes on from where it is at the next start."""
        self._stopping.set()
        self._active.stop()
        self.wake()
        deadline = time.monotonic() + timeout_s
        if self.enrich is not None:
            self.enrich.close()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._threads:
            with suppress(StoreUnavailable):  # the leases end by themselves
                self._jobs.release(self.owner)
        job_spans.end_all(self._working())
        self._threads = []

    def wake(self) -> None:
        """Work was queued."""
        self._wake.set()

    def busy(self) -> set[TenantId]:
        """Tenants whose documents this process works on."""
        return {job.tenant for job in self._working()}

    @property
    def is_alive(self) -> bool:
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def report(self, job: Job, stage: str, progress: float) -> None:
        """A stage moved on, without anything durable."""
        now = time.monotonic()
        if now - self._reported.get(job.id, 0) >= REPORT_S:
            self._reported[job.id] = now
            self._jobs.progress([(job, stage, progress)])
            self._changes.announce([job.id])

    def is_cancelled(self, job: Job) -> bool:
        """Whether a stage should give up on the job now."""
        return self._stopping.is_set() or self._claimed.is_cancelled(job)

    # --- prepare

    def _prepare_loop(self, prepare: Prepare) -> None:
        while not self._stopping.is_set():
            try:
                claim = self._next_claim()
                if claim is None:
                    continue
                with about(claim.job):
                    if claim.job.kind == "delete":
                        self._delete(claim)
                    else:
                        self._prepare(prepare, claim)
                        self._changes.announce([claim.job.id])
            except StoreUnavailable as error:  # the catalog is away: the job's lease brings it back
                self._outages.met(error)
            except Exception as error:  # it is full: the job's lease or the next try brings it back
                _log_fault("prepare", error)
                self._stopping.wait(LOOK_S)

    def _next_claim(self) -> Claim | None:
        if self._outages.left_s:  # what is claimed now would only come back
            self._stopping.wait(min(LOOK_S, self._outages.left_s))
            return None
        if not self._active.wait_for_room(LOOK_S):
            return None
        claim = self._claimed.next(self._claim)
        if claim is None:
            self._wake.wait(LOOK_S)
        return claim

    def _claim(self) -> list[Claim]:
        if self.is_paused():
            return []
        self._wake.clear()  # first: what is queued meanwhile wakes again
        limit = 1 if self._outages.are_on else CLAIM
        return [job_spans.begin(claim) for claim in self._store.catalog.claim(self.owner, limit=limit, lease_s=self._lease_s)]

    def _prepare(self, prepare: Prepare, claim: Claim) -> None:
        job = claim.job
        try:
            self._failures.check_attempts(claim)
            work = None if claim.is_cancelled else prepare(claim)
            if claim.is_cancelled or self._claimed.is_cancelled(job):
                raise Cancelled("The job was cancelled.")
            if work is not None:
                self._active.admit(work)
        except Exception as error:
            job_spans.end(job, error)  # first: where the catalog is away, giving up fails too
            if not self._stopping.is_set():
                self._failures.give_up(job, error, cancelled=self._claimed.is_cancelled(job))
            return
        finally:
            self._claimed.over(job)
            self._reported.pop(job.id, None)
        if work is None:
            job_spans.end(job)
            self._outages.over()
        elif work.size > LONG_CHARS:
            self._jobs.progress([(job, work.stage, work.progress)])

    def _delete(self, claim: Claim) -> None:
        """Deletes that were claimed together are done together."""
        tenant = claim.job.tenant
        jobs = [each.job for each in (claim, *self._claimed.deletes_like(claim))]
        sources: list[SourceId] = [job.source_id for job in jobs if job.source_id is not None]
        try:
            self._store.remove(tenant, sources, jobs)
        except Exception as error:
            for job in jobs:
                self._failures.give_up(job, error)
                job_spans.end(job, error)
        else:
            log.info("documents_removed", documents=len(sources))
            self._tidy.changed(tenant, len(sources))
            self.on_change(tenant)
            self._outages.over()
            self.settling.after([tenant], taken_back=True)
        finally:
            job_spans.end_all(jobs)
            for job in jobs:
                self._claimed.over(job)
        self._changes.announce(job.id for job in jobs)

    # --- pump, embed, write

    def _pump_loop(self) -> None:
        while not self._stopping.is_set():
            if not self._active.wait_for_turns(LOOK_S):
                continue
            batch = Batch(self._batch_chunks)
            self._active.take_turns(batch)
            while batch.room and not self._to_embed.empty() and not self._stopping.is_set():
                self._active.wait_for_turns(FULLER_S)
                self._active.take_turns(batch)
            if batch.items or batch.ended:
                self._pass_on(self._to_embed, batch)
        for _ in range(EMBEDDERS):
            self._pass_on(self._to_embed, None)

    def _embed_loop(self) -> None:
        while (batch := self._to_embed.get()) is not None:
            batch.items = [(work, chunk) for work, chunk in batch.items if not work.taken]
            if batch.items:
                try:
                    texts = [embedding_text(work.title, chunk.heading, chunk.text) for work, chunk in batch.items]
                    with _stage("embed", batch), metrics.embedding_duration_seconds.labels("document").time():
                        batch.vectors = self._embedder.embed_documents(texts)
                    metrics.embedded_texts_total.labels("document").inc(len(texts))
                    # Here, so that a batch's names are looked for while the one before it waits for the stores.
                    with _stage("extract", batch):
                        results = self._extractor.extract([Passage(work.title, chunk.heading, chunk.text) for work, chunk in batch.items])
                    batch.found = [result.extraction for result in results]
                except Exception as error:
                    _log_fault("embed", error)
                    self._active.fail(batch, error)
            self._pass_on(self._to_write, batch)
        self._pass_on(self._to_write, None)

    def _write_loop(self) -> None:
        ended = 0
        while ended < EMBEDDERS:
            batch = self._to_write.get()
            if batch is None:
                ended += 1
                continue
            ending = self._active.settle(batch)
            try:
                self._write_patiently(batch, ending)
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    _log_fault("write", error)
                self._active.fail(batch, error)
                with self._writing:
                    for work in ending:
                        self._leave(work)
            else:
                with _stage("resolve", batch):
                    self.settling.after({work.job.tenant for work in batch.works()})
            self._changes.announce(work.job.id for work in batch.works())

    def _write_patiently(self, batch: Batch, ending: list[Work]) -> None:
        """Until it is written: what was embedded is not thrown away because a store is away for a minute."""
        deadline = time.monotonic() + PATIENCE_S
        again = False
        while True:
            try:
                with self._writing:
                    self._write(batch, ending, again=again)
                    for work in ending:
                        self._leave(work)
                self._outages.over()
                return
            except LeaseLost as lost:
                self._tidy.left(work.job for work in batch.works() if work.job.id in lost.ids)
                job_spans.end_all(work.job for work in self._active.take(lost.ids))
            except StoreUnavailable as error:
                wait_s = self._outages.met(error)
                if time.monotonic() + wait_s > deadline or self._stopping.wait(wait_s):
                    raise
            again = True

    def _write(self, batch: Batch, ending: list[Work], *, again: bool) -> None:
        places = [at for at, (work, _) in enumerate(batch.items) if not work.is_lost]
        vectors = batch.vectors if batch.vectors is None or len(places) == len(batch.items) else batch.vectors[places]
        items = [Written(*batch.items[at], batch.found[at]) for at in places]
        for item in items:
            item.work.stored = item.chunk.end
        finished = [work for work in ending if not work.is_lost]
        with _stage("write", batch):
            self._store.write(items, vectors, finished, enrich=self.enrich is not None, again=again)
        metrics.chunks_created_total.inc(len(items))
        tokens: Counter[TenantId] = Counter()
        for item in items:
            tokens[item.work.job.tenant] += estimated_tokens(item.chunk.text)
        for tenant, rows in Counter(item.work.job.tenant for item in items).items():
            self._tidy.changed(tenant, rows)
            self.on_change(tenant)
            self.on_embedded(tenant, rows, tokens[tenant])

    def _leave(self, work: Work) -> None:
        """The work is over: finish what its commit left, or give it up; make room for another."""
        job = work.job
        if work.taken:
            return
        with about(job):
            try:
                if work.is_lost:
                    self._failures.give_up(job, work.failed)
                    job_spans.end(job, work.failed)
                else:
                    self._finish(work)
            except Exception as error:  # nobody keeps the job's lease any more: at its end it goes on after its commit
                _log_fault("finish", error)
                with suppress(Exception):
                    self._failures.give_up(job, error if isinstance(error, Unavailable) else Unavailable(str(error)))
                job_spans.end(job, error)
        self._active.remove(work)

    def _finish(self, work: Work) -> None:
        has_leftovers = self._store.has_leftovers(work)
        if has_leftovers:
            self._store.clear_leftovers(work.job)
            self.settling.replaced(work.job.tenant)
        if self.enrich is not None:
            self.enrich.submit(work.job)
        elif has_leftovers:
            self._jobs.finish([work.job], JobStatus.SUCCEEDED)
        took_s = time.time() - work.job.created_at.timestamp()
        metrics.ingestion_duration_seconds.labels(work.revision.kind).observe(took_s)
        if self.enrich is None:
            job_spans.end(work.job)
        log.info("document_indexed", kind=work.revision.kind, version=work.job.version, chunks=len(work.places), took_s=round(took_s, 3))

    # --- beside

    def _heartbeat_loop(self) -> None:
        """Keeps the leases, and finds out what was cancelled."""
        beat = time.monotonic()
        while not self._stopping.wait(REPORT_S):
            try:
                working = self._working()
                if time.monotonic() - beat > self._lease_s / 3:
                    beat = time.monotonic()
                    # First our own: after an outage every lease may be over, and ours is only late.
                    held = self._jobs.heartbeat(working, lease_s=self._lease_s) if working else set()
                    self._jobs.release_lost()
                    lost = [job for job in self._working() if job in working and job.id not in held]  # and did not end meanwhile
                    self._drop(lost)
                    self._tidy.left(lost)
                cancelled = self._jobs.cancelled([job.id for job in working]) if working else set()
                if cancelled:
                    self._cancel([job for job in working if job.id in cancelled])
            except StoreUnavailable as error:  # the next beat tries again, and the lease covers a few
                self._outages.met(error)
            except Exception as error:
                _log_fault("heartbeat", error)

    def _working(self) -> list[Job]:
        """Every job that this worker has."""
        return [*self._claimed.jobs(), *self._active.jobs(), *(self.enrich.jobs() if self.enrich else ())]

    def _drop(self, jobs: list[Job]) -> None:
        """Other workers have these."""
        ids = {job.id for job in jobs}
        self._claimed.drop(ids)
        self._active.take(ids)
        job_spans.end_all(jobs)

    def _cancel(self, jobs: list[Job]) -> None:
        """End the jobs now, in whatever stage; reading notices by itself, within a tenth of a second."""
        ended = self._claimed.cancel(jobs)
        self._drop(ended)
        with self._writing:
            for job in ended:
                self._failures.give_up(job, None, cancelled=True)
        self._changes.announce(job.id for job in jobs)

    def _pass_on(self, target: queue.Queue[Batch | None], item: Batch | None) -> None:
        """Waits for the next stage; when stopping, batches are dropped (their jobs go on at the next start)."""
        while True:
            try:
                target.put(item, timeout=LOOK_S)
            except queue.Full:
                if not (self._stopping.is_set() and item is not None):
                    continue
            return


def _stage(name: str, batch: Batch) -> AbstractContextManager[None]:
    """A span of each document that shares the batch."""
    return tracing.shared(name, (work.job.traceparent for work in batch.works()), {"localmind.chunks": len(batch.items)})


def _log_fault(stage: str, error: Exception) -> None:
    log.warning("pipeline_fault", stage=stage, error_type=type(error).__name__, exc_info=error)
