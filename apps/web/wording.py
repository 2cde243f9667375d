"""How figures, times and states are put into words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from localmind.model import Job, JobStatus, Source, SourceStatus, Stage

STAGES = {
    Stage.READ: "Reading",
    Stage.CHUNK: "Cutting into chunks",
    Stage.EMBED: "Making it searchable",
    Stage.EXTRACT: "Finding names and terms",
    Stage.WRITE: "Saving",
}

STATUSES = {
    SourceStatus.QUEUED: "Waiting",
    SourceStatus.PROCESSING: "In progress",
    SourceStatus.READY: "Ready",
    SourceStatus.PARTIAL: "Partly read",
    SourceStatus.FAILED: "Failed",
    SourceStatus.DELETING: "Being deleted",
}


def count(number: int, one: str, many: str = "") -> str:
    """1 page, 2 pages, 1,200 pages."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(size_bytes: int) -> str:
    """In units of 1,000, as file managers and MAX_UPLOAD_MB count."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def ago(then: datetime, now: datetime | None = None) -> str:
    """just now, 5 min ago, 3 h ago, 2 days ago, then the date."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h ago"
    if seconds < 7 * 86_400:
        return "yesterday" if seconds < 2 * 86_400 else f"{seconds // 86_400:.0f} days ago"
    return f"{then.day} {then:%b %Y}"


def stage_of(job: Job) -> str:
    """What a job is doing at the moment."""
    if job.status is JobStatus.QUEUED:
        return "Waiting" if not job.attempts else "Waiting to try again"
    if job.kind == "delete":
        return "Deleting"
    return STAGES.get(Stage(job.stage), "Working") if job.stage in set(Stage) else "Starting"


def facts(source: Source, now: datetime | None = None) -> str:
    """3 pages · 5 chunks · 2 min ago"""
    parts = []
    if source.parts:
        parts.append(count(source.parts, "conversation" if "chatgpt" in source.kind else "document"))
    if source.pages:
        parts.append(count(source.pages, "page"))
    if source.chunks:
        parts.append(count(source.chunks, "chunk"))
    if not parts and source.size_bytes:
        parts.append(size(source.size_bytes))
    return " · ".join([*parts, ago(source.updated_at, now)])


def place(page: int | None) -> str:
    return f"Page {page:,}" if page else ""


def degraded(parts: Sequence[str]) -> str:
    """What an answer had to do without."""
    stores = [part for part in parts if part not in ("llm", "reranker", "budget")]
    sentences = [f"Not everything could be searched: {', '.join(stores)} did not answer."] if stores else []
    if "reranker" in parts:
        sentences.append("The reranker did not answer, so the order is less exact.")
    if "llm" in parts:
        sentences.append("The language model did not answer, so this is quoted from your documents.")
    if "budget" in parts:
        sentences.append("The budget for the language model is spent, so this is quoted from your documents.")
    return " ".join(sentences)
