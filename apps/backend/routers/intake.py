"""Putting in, replacing, deleting. Whatever is answered with 202 is committed and survives a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, File, Form, UploadFile

from apps.backend.access import Editor
from apps.backend.bodies import Replacement, bulk_texts, replacement
from apps.backend.dependencies import Mind, SourceIdPath
from apps.backend.schemas.common import Tag, problems
from apps.backend.schemas.sources import AcceptedList, AcceptedOut, ReingestIn, TextIn, TextReplacement, Uri, UrlIn
from localmind.errors import InvalidInput

if TYPE_CHECKING:
    from localmind.ingest.sources import NewText

router = APIRouter(prefix="/api/v1/sources", tags=["sources"])

FULL = "The tenant has all that it may have."
REFUSED = problems(
    _400="It can't be taken in as it is.",
    _403=FULL,
    _408="No more of the body came.",
    _413="It is larger than MAX_UPLOAD_MB, or than the tenant may put in.",
    _507="The disk is full.",
)
BULK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {
                "schema": {
                    "type": "array",
                    "items": TextIn.model_json_schema(),
                    "minItems": 1,
                    "description": "One JSON object a line, each as for /sources/text.",
                },
                "example": '{"title": "Soup", "text": "Leeks and potatoes."}\n{"title": "Bread", "text": "Flour, water, salt."}\n',
            }
        },
    }
}
REPLACEMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": TextReplacement.model_json_schema()},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post("/upload", status_code=202, responses=REFUSED)
def upload(
    mind: Mind,
    tenant: Editor,
    file: Annotated[list[UploadFile], File(min_length=1, description="One file or more; all together at most MAX_UPLOAD_MB.")],
    tags: Annotated[list[Tag] | None, Form(max_length=50, description="Given once a tag.")] = None,
    uri: Annotated[Uri | None, Form()] = None,
) -> AcceptedList:
    """Put files in. Their type is found from their content. Content that is here already gives `duplicate: true`."""
    if uri is not None and len(file) > 1:
        raise InvalidInput("One uri can't name several files.", hint="Send the files one by one.")
    return AcceptedList.of(
        [mind.sources.upload(tenant, filename=one.filename or "", data=one.file, uri=uri, tags=tags or ()) for one in file]
    )


@router.post("/text", status_code=202, responses=REFUSED)
def add_text(mind: Mind, tenant: Editor, body: TextIn) -> AcceptedOut:
    """Put a text in; Markdown headings are understood."""
    return AcceptedOut.of(mind.sources.add_texts(tenant, [new_text(body)])[0])


@router.post("/bulk", status_code=202, responses=REFUSED, openapi_extra=BULK_BODY)
def add_bulk(mind: Mind, tenant: Editor, texts: Annotated[list[TextIn], Depends(bulk_texts)]) -> AcceptedList:
    """Put many texts in, all or none."""
    return AcceptedList.of(mind.sources.add_texts(tenant, [new_text(text) for text in texts], bulk=True))


@router.post("/url", status_code=202, responses=REFUSED)
def add_url(mind: Mind, tenant: Editor, body: UrlIn) -> AcceptedOut:
    """Fetch a page or file and put it in. The same URL again is a new version."""
    return AcceptedOut.of(mind.sources.add_url(tenant, str(body.url), tags=body.tags))


@router.put("/{source_id}", status_code=202, responses={**REFUSED, **problems(_404="No such source.")}, openapi_extra=REPLACEMENT_BODY)
def replace(mind: Mind, tenant: Editor, source_id: SourceIdPath, new: Annotated[Replacement, Depends(replacement)]) -> AcceptedOut:
    """A new version, from a file or a text. The old one answers until the new one is ready."""
    if isinstance(new, TextReplacement):
        return AcceptedOut.of(mind.sources.replace_text(tenant, source_id, text=new.text, title=new.title))
    return AcceptedOut.of(mind.sources.replace(tenant, source_id, filename=new.filename, data=new.file))


@router.delete("/{source_id}", status_code=202, responses=problems(_404="No such source."))
def delete(mind: Mind, tenant: Editor, source_id: SourceIdPath) -> AcceptedOut:
    """Hide a source at once and remove it from every store."""
    return AcceptedOut.of(mind.sources.delete(tenant, source_id))


@router.post("/reingest", status_code=202, responses=problems(_400="`missing` is not true.", _409="No LLM is set."))
def reingest_missing(mind: Mind, tenant: Editor, body: ReingestIn) -> AcceptedList:
    """With `missing`: ask the LLM about every chunk that has nothing of its, as after an outage or a budget; at most 10,000 sources."""
    if not body.missing:
        raise InvalidInput("All sources can't be read anew at once.", hint='Name one, or send {"missing": true}.')
    return AcceptedList.of(mind.sources.extract_missing(tenant))


@router.post(
    "/{source_id}/reingest",
    status_code=202,
    responses=problems(_404="No such source.", _403=FULL, _409="It is being ingested, or no LLM is set."),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": {"missing": True}}}}},
)
def reingest(mind: Mind, tenant: Editor, source_id: SourceIdPath, body: ReingestIn | None = None) -> AcceptedOut:
    """Read it anew, as after an update of the readers; or, with `missing`, only ask the LLM about what has nothing of its."""
    if body is not None and body.missing:
        return AcceptedOut.of(mind.sources.extract_missing(tenant, source_id)[0])
    return AcceptedOut.of(mind.sources.reingest(tenant, source_id))


def new_text(body: TextIn) -> NewText:
    from localmind.ingest.sources import NewText  # brings SQLAlchemy, which the port need not wait for

    return NewText(title=body.title, text=body.text, uri=body.uri, tags=tuple(body.tags))
