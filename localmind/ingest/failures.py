"""What becomes of a job that went wrong: another try later, or its end with an error that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from localmind.catalog.jobs import Claim
from localmind.errors import Cancelled, LocalMindError, StoreUnavailable
from localmind.ingest.context import about
from localmind.ingest.outages import Outages
from localmind.ingest.store import Store
from localmind.ingest.work import job_error
from localmind.model import Job, JobStatus
from localmind.operations import metrics

log = structlog.get_logger(__name__)

CRASHES = 25
"""Times that a job may be begun without getting on before it is taken for the cause of the crashes."""

BACKOFF_S = 2.0
MAX_BACKOFF_S = 300.0
LONGEST_WAIT_S = 3600.0
"""However long a server asks to be left alone."""


class CrashLoop(LocalMindError): ...


class Failures:
    def __init__(self, store: Store, *, attempts: int) -> None:
        self._store, self._attempts = store, attempts
        self.outages = Outages()

    def check_attempts(self, claim: Claim) -> None:
        """Raises CrashLoop for a job that brought the worker down time and again."""
        if claim.attempts > CRASHES:
            raise CrashLoop(
                f"The worker ended {CRASHES} times while it worked on this file.",
                hint="Put the file in again in another format, and report it with the service's log.",
            )

    def give_up(self, job: Job, error: BaseException | None, *, cancelled: bool = False) -> None:
        """Postpone the job, or end it and take back what it staged. Does nothing where another worker has it by now."""
        jobs = self._store.catalog.jobs
        if not jobs.confirm([job]):
            return
        if cancelled or isinstance(error, Cancelled):
            self._take_back(job)
            jobs.finish([job], JobStatus.CANCELLED, error=job_error(Cancelled("The job was cancelled."), job.stage))
            return
        assert error is not None
        stage = jobs.get(job.tenant, job.id).stage
        facts = job_error(error, stage)
        if isinstance(error, StoreUnavailable):  # not the job's fault: it goes on when the store is back
            jobs.postpone(job, delay_s=self.outages.met(error), error=facts, count=False)
            return
        known = isinstance(error, LocalMindError)
        with about(job):
            log.warning("job_failed", kind=job.kind, stage=stage, error_type=facts["type"], exc_info=None if known else error)
        if self.try_again(job, error, facts):
            return
        metrics.ingestion_failures_total.labels(facts["type"]).inc()
        self._take_back(job)
        jobs.finish([job], JobStatus.FAILED, error=facts)

    def try_again(self, job: Job, error: BaseException, facts: Mapping[str, Any]) -> bool:
        """Queue it for another try after a wait that grows, or that the error asks for; False where it had them all, or none helps."""
        failures = self._store.catalog.jobs.failures(job.id) + 1
        is_worth_it = isinstance(error, LocalMindError) and error.retryable and failures < self._attempts
        if not is_worth_it and job.kind != "delete":  # a delete is never given up: it was promised
            return False
        asked_s = error.data.get("retry_after_s") if isinstance(error, LocalMindError) else None
        delay_s = min(BACKOFF_S * 2 ** (failures - 1), MAX_BACKOFF_S)
        self._store.catalog.jobs.postpone(job, delay_s=max(delay_s, min(asked_s or 0.0, LONGEST_WAIT_S)), error=facts)
        return True

    def _take_back(self, job: Job) -> None:
        """Clear what the version staged, unless a newer one will use it."""
        if job.source_id is None:
            return
        revision = self._store.catalog.sources.revision(job.tenant, job.source_id)
        if revision.latest == job.version and revision.visible < job.version:
            self._store.discard(job)
