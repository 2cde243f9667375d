"""What was put in: lists, texts, original files."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from apps.backend.access import Reader
from apps.backend.dependencies import Cursor, Limit, Mind, SourceIdPath
from apps.backend.schemas.common import Clean, Page, listed, problems
from apps.backend.schemas.sources import ChunkOut, DocumentOut, SourceOut
from localmind.model import SourceStatus

router = APIRouter(prefix="/api/v1/sources", tags=["sources"])

MISSING = problems(_404="No such source.", _409="It has not been read yet.")
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "The file."},
    206: {"description": "The part that `Range` asked for."},
    416: {"description": "The range is outside of the file."},
}

UNSCRIPTED = frozenset({"application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp"})
"""Types that a browser shows in a viewer of its own. A sandbox would keep Chrome's PDF viewer from starting."""

SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A document is a stranger's page on our origin: it must not run scripts, load anything or read what else is here."""


@router.get("", responses=listed())
def list_sources(
    mind: Mind,
    tenant: Reader,
    status: SourceStatus | None = None,
    tag: Annotated[Clean | None, Query(max_length=100, description="Only sources with this tag.")] = None,
    q: Annotated[Clean | None, Query(max_length=500, description="Part of the title.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SourceOut]:
    """Sources, newest first."""
    found = mind.sources.list(tenant, status=status, tag=tag, query=q, limit=limit, cursor=cursor)
    return Page(items=[SourceOut.of(source) for source in found.items], next_cursor=found.next_cursor)


@router.get("/{source_id}", responses=MISSING)
def get_source(mind: Mind, tenant: Reader, source_id: SourceIdPath) -> SourceOut:
    """One source, with what the stores hold of it."""
    return SourceOut.of(mind.sources.get(tenant, source_id))


@router.get("/{source_id}/chunks", responses={**MISSING, **listed()})
def list_chunks(mind: Mind, tenant: Reader, source_id: SourceIdPath, limit: Limit = 50, cursor: Cursor = None) -> Page[ChunkOut]:
    """The chunks of the visible version, in reading order."""
    found = mind.sources.chunks(tenant, source_id, limit=limit, cursor=cursor)
    return Page(items=[ChunkOut.of(chunk) for chunk in found.items], next_cursor=found.next_cursor)


@router.get("/{source_id}/text", responses=MISSING)
def get_text(mind: Mind, tenant: Reader, source_id: SourceIdPath) -> DocumentOut:
    """The text that was extracted, with its pages and headings: what `start` and `end` count in."""
    return DocumentOut.model_validate(mind.sources.document(tenant, source_id))


@router.get("/{source_id}/content", response_class=FileResponse, responses={**MISSING, **FILE})
def get_content(mind: Mind, tenant: Reader, source_id: SourceIdPath) -> FileResponse:
    """The original file. Takes `Range`."""
    with ExitStack() as stack:
        content = stack.enter_context(mind.sources.content(tenant, source_id))
        keep = stack.pop_all()  # a temporary copy of a remote file has to stay until it is sent
    policy = "frame-ancestors 'self'" if content.media_type in UNSCRIPTED else SANDBOX
    return FileResponse(
        content.path,
        headers={"Content-Security-Policy": policy},
        media_type=content.media_type,
        filename=content.filename,
        content_disposition_type="inline",
        background=BackgroundTask(keep.close),
    )
