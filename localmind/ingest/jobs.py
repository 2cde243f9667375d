"""The verbs over jobs: look, wait, cancel, retry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from localmind.catalog.catalog import Catalog
from localmind.errors import Conflict
from localmind.ingest.events import Changes
from localmind.model import Job, JobId, JobStatus, ListPage, SourceId, TenantId

LOOK_AGAIN_S = 0.5
"""How long a change made by another process may go unseen."""

ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class Jobs:
    def __init__(self, catalog: Catalog, changes: Changes, wake: Callable[[], None]) -> None:
        self._table, self._changes, self._wake = catalog.jobs, changes, wake

    def list(
        self,
        tenant: TenantId,
        *,
        status: JobStatus | None = None,
        source_id: SourceId | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ListPage[Job]:
        """Newest first. Raises BadCursor."""
        return self._table.page(tenant, status=status, source_id=source_id, limit=limit, cursor=cursor)

    def get(self, tenant: TenantId, job_id: JobId) -> Job:
        """Raises NotFound."""
        return self._table.get(tenant, job_id)

    def cancel(self, tenant: TenantId, job_id: JobId) -> Job:
        """A job that was never begun ends now, another at its next step. Raises NotFound, Conflict where it is over or a delete."""
        job = self._table.get(tenant, job_id)
        if job.status in ENDED or job.kind != "ingest":
            raise Conflict(f"Job {job_id} can't be cancelled: it is a {job.kind} that is {job.status}.", hint="Delete the source instead.")
        self._table.ask_cancel(tenant, job_id=job_id)
        self._changes.announce([job_id])
        self._wake()
        return self._table.get(tenant, job_id)

    def retry(self, tenant: TenantId, job_id: JobId) -> Job:
        """Queue a failed or cancelled job again. Raises NotFound, Conflict."""
        job = self._table.get(tenant, job_id)
        if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise Conflict(f"Job {job_id} is {job.status}; only a failed or cancelled job can be retried.", hint="Wait for it to end.")
        if not self._table.requeue(tenant, job_id):
            raise Conflict(f"Job {job_id} was retried already.", hint="Watch it.")
        self._changes.announce([job_id])
        self._wake()
        return self._table.get(tenant, job_id)

    def watch(self, tenant: TenantId, job_id: JobId, timeout_s: float | None = None) -> Iterator[Job]:
        """The job now and at each change; ends after its end, or when the time is over. Blocks. Raises NotFound."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        last: Job | None = None
        with self._changes.watching(job_id) as watch:
            while True:
                job = self._table.get(tenant, job_id)
                if job != last:
                    yield job
                    last = job
                left_s = LOOK_AGAIN_S if deadline is None else min(LOOK_AGAIN_S, deadline - time.monotonic())
                if job.status in ENDED or left_s <= 0:
                    return
                watch.wait(left_s)
