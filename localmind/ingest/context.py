"""Whose work a worker is doing: bound while it does it, so that each log line, and each job that it queues itself, says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bound_contextvars

from localmind.accounts.acting import acting
from localmind.model import Job
from localmind.operations import tracing


@contextmanager
def about(job: Job) -> Iterator[None]:
    """Log lines carry the job's id, its source's and tenant's, and the id of the request that queued it; spans are parts of the job's."""
    with (
        acting(request_id=job.request_id, traceparent=job.traceparent),
        bound_contextvars(job_id=job.id, source_id=job.source_id, tenant_id=job.tenant),
        tracing.continued(job.traceparent),
    ):
        yield
