"""A job's span: from the moment a worker has it until it is over, postponed or lost, whichever threads it goes through meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from localmind.catalog.jobs import Claim
from localmind.model import Job, JobId
from localmind.operations import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_open: dict[JobId, Span] = {}


def begin(claim: Claim) -> Claim:
    """The claim with a job whose `traceparent` is its own span, under the request's that queued it."""
    if not tracing.is_on():
        return claim
    job = claim.job
    end(job)
    span = tracing.begin(
        f"job {job.kind}",
        job.traceparent,
        {
            "localmind.job.id": job.id,
            "localmind.job.kind": job.kind,
            "localmind.job.attempt": claim.attempts,
            "localmind.job.waited_s": round(time.time() - job.created_at.timestamp(), 3),
            "localmind.tenant.id": job.tenant,
            **({} if job.request_id is None else {"localmind.request.id": job.request_id}),
        },
    )
    _open[job.id] = span
    return replace(claim, job=replace(job, traceparent=tracing.traceparent(span)))


def end(job: Job, error: BaseException | None = None) -> None:
    """This worker is done with it. Does nothing where it has ended, or is not traced."""
    span = _open.pop(job.id, None) if _open else None
    if span is not None:
        tracing.end(span, error)


def end_all(jobs: Iterable[Job]) -> None:
    """These are other workers' now, or the next start's."""
    for job in jobs:
        end(job)
