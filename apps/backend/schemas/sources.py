"""Bodies of /api/v1/sources."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AnyUrl, ConfigDict, Field, StrictBool, UrlConstraints

from apps.backend.schemas.common import Clean, Filled, Reply, Request, Tags, Time
from localmind.model import Accepted, Chunk, Source, SourceStatus

Title = Annotated[Filled, Field(max_length=500)]
Uri = Annotated[Filled, Field(max_length=2000, description="What the text is known by; the same uri again is a new version.")]


class TextIn(Request):
    """A text to put in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Soup", "text": "Leeks, potatoes, stock. Simmer for 20 minutes.", "tags": ["recipes"]}]}
    )

    title: Title
    text: Annotated[Clean, Field(min_length=1)]
    uri: Uri | None = None
    tags: Tags = Field(default_factory=list)


class TextReplacement(Request):
    """A new version of a source, as text."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Leeks, potatoes, stock. Simmer for 25 minutes."}]})

    text: Annotated[Clean, Field(min_length=1)]
    title: Title | None = None


class UrlIn(Request):
    """A web page or file to fetch and put in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": "http://localhost:8080/handbook.html", "tags": ["handbook"]}]})

    url: Annotated[
        AnyUrl, UrlConstraints(max_length=2000, allowed_schemes=["http", "https"], host_required=True), Field(description="http or https.")
    ]
    tags: Tags = Field(default_factory=list)


class ReingestIn(Request):
    """How a source is read anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"missing": True}]})

    missing: StrictBool = Field(False, description="Only ask the LLM about chunks that have nothing of its.")


class AcceptedOut(Reply):
    """What was accepted: it is kept, whatever happens next. `job_id` is null where nothing is left to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"source_id": "mq3w5k7yhzj2", "job_id": "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b", "status": "queued", "duplicate": False}
            ]
        }
    )

    source_id: str
    job_id: str | None
    status: str
    duplicate: bool

    @classmethod
    def of(cls, accepted: Accepted) -> AcceptedOut:
        return cls(source_id=accepted.source_id, job_id=accepted.job_id, status=str(accepted.status), duplicate=accepted.duplicate)


class AcceptedList(Reply):
    """One item a file or line, in their order."""

    sources: list[AcceptedOut]

    @classmethod
    def of(cls, accepted: list[Accepted]) -> AcceptedList:
        return cls(sources=[AcceptedOut.of(one) for one in accepted])


class SourceOut(Reply):
    """A source. `version` 0: nothing of it is searchable yet. `status` is computed from what the stores hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source_id": "mq3w5k7yhzj2",
                    "title": "Handbook",
                    "kind": "file",
                    "media_type": "application/pdf",
                    "status": "ready",
                    "version": 1,
                    "created_at": "2026-01-05T10:00:00.000Z",
                    "updated_at": "2026-01-05T10:00:04.000Z",
                    "uri": None,
                    "filename": "handbook.pdf",
                    "tags": ["work"],
                    "parent_id": None,
                    "size_bytes": 182044,
                    "pages": 40,
                    "chars": 81230,
                    "chunks": 96,
                    "vectors": 96,
                    "entities": 211,
                    "parts": 0,
                    "job_id": "0197a1b2c3d47e5f8a9b0c1d2e3f4a5b",
                    "error": None,
                    "notes": ["12 of 40 pages have no text."],
                }
            ]
        }
    )

    source_id: str
    title: str
    kind: str
    media_type: str
    status: SourceStatus
    version: int
    created_at: Time
    updated_at: Time
    uri: str | None
    filename: str | None
    tags: list[str]
    parent_id: str | None = Field(description="The archive that this is a part of.")
    size_bytes: int
    pages: int | None = Field(description="Null where the format has none.")
    chars: int
    chunks: int
    vectors: int
    entities: int
    parts: int = Field(description="How many sources an archive holds.")
    job_id: str | None = Field(description="The newest job.")
    error: dict[str, Any] | None
    notes: list[str] = Field(description="Sentences for the person who put it in.")

    @classmethod
    def of(cls, source: Source) -> SourceOut:
        return cls(
            source_id=source.id,
            title=source.title,
            kind=source.kind,
            media_type=source.media_type,
            status=source.status,
            version=source.version,
            created_at=source.created_at,
            updated_at=source.updated_at,
            uri=source.uri,
            filename=source.filename,
            tags=list(source.tags),
            parent_id=source.parent_id,
            size_bytes=source.size_bytes,
            pages=source.pages,
            chars=source.chars,
            chunks=source.chunks,
            vectors=source.vectors,
            entities=source.entities,
            parts=source.parts,
            job_id=source.job_id,
            error=None if source.error is None else dict(source.error),
            notes=list(source.notes),
        )


class ChunkOut(Reply):
    """A piece of a source's text: `text == source_text[start:end]`."""

    chunk_id: str
    source_id: str
    ordinal: int
    text: str
    start: int
    end: int
    page: int | None
    heading: str

    @classmethod
    def of(cls, chunk: Chunk) -> ChunkOut:
        return cls(
            chunk_id=chunk.id,
            source_id=chunk.source_id,
            ordinal=chunk.ordinal,
            text=chunk.text,
            start=chunk.start,
            end=chunk.end,
            page=chunk.page,
            heading=chunk.heading,
        )


class PageOut(Reply):
    number: int
    start: int
    end: int


class HeadingOut(Reply):
    level: int
    start: int
    text: str


class DocumentOut(Reply):
    """The text that was extracted from a source; every offset counts its characters."""

    text: str
    title: str | None
    media_type: str
    pages: list[PageOut]
    headings: list[HeadingOut]
    empty_pages: list[int]
    ocr_pages: list[int]
    notes: list[str]
