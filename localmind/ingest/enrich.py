"""With an LLM: after a document is searchable, the model's entities replace the keyphrases', chunk by chunk, from where it stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from localmind.errors import Cancelled
from localmind.extraction.port import Extractor, Passage
from localmind.graph.port import ChunkExtraction
from localmind.ids import text_hash
from localmind.ingest.failures import Failures
from localmind.ingest.store import Store
from localmind.model import Chunk, ExtractedEntity, ExtractedRelation, Extraction, Job, JobId, JobStatus, Stage
from localmind.operations import metrics

BATCH_CHUNKS = 16
"""Chunks between two commits: what a kill repeats comes from the cache."""

JOBS_AT_ONCE = 2


class Enrich:
    def __init__(
        self,
        store: Store,
        extractor: Extractor,
        failures: Failures,
        *,
        announce: Callable[[Iterable[JobId]], None],
        is_cancelled: Callable[[Job], bool],
    ) -> None:
        self._store, self._extractor, self._failures = store, extractor, failures
        self._announce, self._is_cancelled = announce, is_cancelled
        self._pool = ThreadPoolExecutor(JOBS_AT_ONCE, thread_name_prefix="ingest-enrich")
        self._jobs: dict[JobId, Job] = {}
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """The job is searchable; it ends when every chunk was asked about."""
        with self._lock:
            self._jobs[job.id] = job
        self._pool.submit(self._run, job)

    def jobs(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, job: Job) -> None:
        try:
            self._enrich(job)
        except Exception as error:
            self._failures.give_up(job, error)
        finally:
            with self._lock:
                self._jobs.pop(job.id, None)
            self._announce([job.id])

    def _enrich(self, job: Job) -> None:
        assert job.source_id is not None
        revision = self._store.catalog.sources.revision(job.tenant, job.source_id, job.version)
        total, done, given_up = max(revision.chunks, 1), 0, 0
        for batch in self._store.catalog.chunks.of_source(job.tenant, job.source_id, batch=BATCH_CHUNKS):
            if self._is_cancelled(job):
                raise Cancelled("The job was cancelled.")
            given_up += self._extract(job, revision.title, batch)
            done += len(batch)
            with self._store.catalog.database.write():
                self._confirm(job)
                missing = max(revision.chunks - done, 0) + given_up
                self._store.catalog.sources.update_revision([{"source_id": job.source_id, "version": job.version, "missing": missing}])
                self._store.catalog.jobs.progress([(job, Stage.EXTRACT, min(done / total, 0.99))], got_on=True)
            self._announce([job.id])
        self._end(job, given_up, total)

    def _extract(self, job: Job, title: str, chunks: list[Chunk] | Any) -> int:
        """Put a batch's entities into the graph; returns how many chunks the model failed on (they keep their keyphrases)."""
        sources = self._store.catalog.sources
        hashes = [text_hash(chunk.text) for chunk in chunks]
        known = {key: unpack(value) for key, value in sources.extractions(job.tenant, self._extractor.version, hashes).items()}
        ask = [(chunk, key) for chunk, key in zip(chunks, hashes, strict=True) if key not in known]
        started = time.monotonic()
        results = self._extractor.extract([Passage(title, chunk.heading, chunk.text) for chunk, _ in ask])
        if ask:
            metrics.llm_extraction_duration_seconds.observe((time.monotonic() - started) / len(ask))
        fresh = {key: result.extraction for (_, key), result in zip(ask, results, strict=True) if result.problem is None}
        with self._store.catalog.database.write():
            sources.keep_extractions(job.tenant, self._extractor.version, {key: asdict(value) for key, value in fresh.items()})
        found = known | fresh
        self._confirm(job)
        with self._store.transaction_of(self._store.graph):
            self._store.graph.write(
                job.tenant,
                [ChunkExtraction(chunk.source_id, chunk.id, found[key]) for chunk, key in zip(chunks, hashes, strict=True) if key in found],
            )
        return len(ask) - sum(1 for result in results if result.problem is None)

    def _confirm(self, job: Job) -> None:
        """An answer can take minutes, in which the job was cancelled or became another worker's. Raises Cancelled."""
        if not self._store.catalog.jobs.confirm([job]):
            raise Cancelled("The job was cancelled.")

    def _end(self, job: Job, given_up: int, total: int) -> None:
        error = None
        if given_up:
            error = {
                "type": "extraction_incomplete",
                "message": f"The model's answers for {given_up} of {total} chunks could not be used; those keep what was found without it.",
                "hint": "Reingest the source to ask again; a larger model, or one with JSON output, helps.",
                "stage": Stage.EXTRACT,
                "retryable": True,
            }
        assert job.source_id is not None
        count = self._store.graph.entities_of(job.tenant, [job.source_id]).get(job.source_id, 0)
        with self._store.catalog.database.write():
            self._store.catalog.sources.update_revision([{"source_id": job.source_id, "version": job.version, "entities": count}])
            self._store.catalog.jobs.finish([job], JobStatus.SUCCEEDED, error=error)


def unpack(value: Any) -> Extraction:
    """A cached result as it was kept."""
    return Extraction(
        tuple(ExtractedEntity(**entity) for entity in value["entities"]),
        tuple(ExtractedRelation(**relation) for relation in value["relations"]),
    )
