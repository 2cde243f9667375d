"""Bodies of /api/v1/jobs."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from apps.backend.schemas.common import Reply, Time
from localmind.model import Job, JobStatus


class JobError(Reply):
    """Why a job failed, and what to do. Members beside these are for machines."""

    model_config = ConfigDict(extra="allow")

    type: str
    message: str
    hint: str = ""
    stage: str | None = None
    retryable: bool = False


class JobUsage(Reply):
    """What an LLM cost a job, over all its attempts."""

    calls: int = Field(description="Calls that were answered.")
    prompt_tokens: int
    completion_tokens: int
    cost: float = Field(description="By LLM_PRICE_INPUT and LLM_PRICE_OUTPUT.")
    extracted: int = Field(description="Chunks that the model was asked about, and answered.")
    cached: int = Field(description="Chunks whose answer was there already.")


class JobOut(Reply):
    """Work that was accepted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "job_id": "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b",
                    "kind": "ingest",
                    "status": "running",
                    "source_id": "mq3w5k7yhzj2",
                    "stage": "embed",
                    "progress": 0.42,
                    "error": None,
                    "usage": None,
                    "attempts": 1,
                    "created_at": "2026-01-05T10:00:00.000Z",
                    "updated_at": "2026-01-05T10:00:02.000Z",
                }
            ]
        }
    )

    job_id: str
    kind: str
    status: JobStatus
    source_id: str | None
    stage: str | None = Field(description="read, chunk, embed, extract or write.")
    progress: float = Field(ge=0, le=1)
    error: JobError | None
    usage: JobUsage | None = Field(description="Null where no LLM was asked.")
    attempts: int
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, job: Job) -> JobOut:
        return cls(
            job_id=job.id,
            kind=job.kind,
            status=job.status,
            source_id=job.source_id,
            stage=job.stage,
            progress=min(1.0, max(0.0, job.progress)),
            error=None if job.error is None else JobError.model_validate(dict(job.error)),
            usage=None if job.usage is None else JobUsage.model_validate(dict(job.usage)),
            attempts=job.attempts,
            created_at=job.created_at,
            updated_at=job.updated_at,
        )
