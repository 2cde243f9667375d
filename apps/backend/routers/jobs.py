"""What happens to what was put in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sse_starlette import EventSourceResponse

from apps.backend.access import Editor, Reader
from apps.backend.dependencies import Cursor, JobIdPath, Limit, Mind, source_filter
from apps.backend.events import STREAM, Events, event, respond
from apps.backend.schemas.common import Page, listed, problems
from apps.backend.schemas.jobs import JobOut
from localmind.model import JobId, JobStatus, TenantId

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

WATCH_S = 5.0
"""How often a quiet stream looks whether its client is still there."""


@router.get("", responses=listed(_404="No such source."))
def list_jobs(
    mind: Mind,
    tenant: Reader,
    status: JobStatus | None = None,
    source_id: Annotated[str | None, Query(description="Only jobs of this source.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[JobOut]:
    """Jobs, newest first."""
    found = mind.jobs.list(tenant, status=status, source_id=source_filter(source_id), limit=limit, cursor=cursor)
    return Page(items=[JobOut.of(job) for job in found.items], next_cursor=found.next_cursor)


@router.get("/{job_id}", responses=problems(_404="No such job."))
def get_job(mind: Mind, tenant: Reader, job_id: JobIdPath) -> JobOut:
    """One job."""
    return JobOut.of(mind.jobs.get(tenant, job_id))


@router.get("/{job_id}/events", response_class=EventSourceResponse, responses={**problems(_404="No such job."), **STREAM})
async def watch_job(mind: Mind, tenant: Reader, job_id: JobIdPath, request: Request) -> EventSourceResponse:
    """The job now and at each change, as events `job`; the stream ends with the job."""
    return await respond(request, lambda: _watch(mind, tenant, job_id))


@router.post("/{job_id}/cancel", status_code=202, responses=problems(_404="No such job.", _409="It has ended already."))
def cancel_job(mind: Mind, tenant: Editor, job_id: JobIdPath) -> JobOut:
    """Ask a job to stop; what it wrote is taken back."""
    return JobOut.of(mind.jobs.cancel(tenant, job_id))


@router.post("/{job_id}/retry", status_code=202, responses=problems(_404="No such job.", _409="It has not failed."))
def retry_job(mind: Mind, tenant: Editor, job_id: JobIdPath) -> JobOut:
    """Queue a failed or cancelled job again."""
    return JobOut.of(mind.jobs.retry(tenant, job_id))


def _watch(mind: Mind, tenant: TenantId, job_id: JobId) -> Events:
    last: JobOut | None = None
    while last is None or last.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        for job in mind.jobs.watch(tenant, job_id, timeout_s=WATCH_S):
            told = JobOut.of(job)
            yield event("job", told) if told != last else None
            last = told
        yield None
