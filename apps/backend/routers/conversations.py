"""Questions and answers that were kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from apps.backend.access import Editor, Reader
from apps.backend.dependencies import ConversationIdPath, Cursor, Limit, Mind
from apps.backend.schemas.common import Page, listed, problems
from apps.backend.schemas.conversations import ConversationHead, ConversationOut, Rename

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])

MISSING = problems(_404="No such conversation.")
EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/markdown": {}}, "description": "The conversation."}
}


@router.get("", responses=listed())
def list_conversations(mind: Mind, tenant: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[ConversationHead]:
    """Conversations, the latest first."""
    found = mind.conversations.list(tenant, limit=limit, cursor=cursor)
    return Page(items=[ConversationHead.of(one) for one in found.items], next_cursor=found.next_cursor)


@router.get("/{conversation_id}", responses=MISSING)
def get_conversation(mind: Mind, tenant: Reader, conversation_id: ConversationIdPath) -> ConversationOut:
    """One conversation with its messages, oldest first."""
    return ConversationOut.of(mind.conversations.get(tenant, conversation_id))


@router.patch("/{conversation_id}", responses=MISSING)
def rename_conversation(mind: Mind, tenant: Editor, conversation_id: ConversationIdPath, body: Rename) -> ConversationHead:
    """Give it another title."""
    return ConversationHead.of(mind.conversations.rename(tenant, conversation_id, body.title))


@router.delete("/{conversation_id}", status_code=204, responses=MISSING)
def delete_conversation(mind: Mind, tenant: Editor, conversation_id: ConversationIdPath) -> None:
    """Delete it with its messages."""
    mind.conversations.delete(tenant, conversation_id)


@router.get("/{conversation_id}/export", response_class=Response, responses={**MISSING, **EXPORT})
def export_conversation(
    mind: Mind,
    tenant: Reader,
    conversation_id: ConversationIdPath,
    as_: Annotated[Literal["json", "markdown"], Query(alias="format", description="json, or markdown for people.")] = "json",
) -> Response:
    """The whole conversation as a file."""
    suffix = {"json": "json", "markdown": "md"}[as_]
    headers = {"Content-Disposition": f'attachment; filename="conversation-{conversation_id}.{suffix}"'}
    if as_ == "markdown":
        text = mind.conversations.export_markdown(tenant, conversation_id)
        return PlainTextResponse(text, headers=headers, media_type="text/markdown")
    return JSONResponse(mind.conversations.export(tenant, conversation_id), headers=headers)
