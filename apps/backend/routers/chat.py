"""Answers with citations, whole or as they come."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse

from apps.backend.access import Reader
from apps.backend.dependencies import Mind
from apps.backend.events import STREAM, Events, event, respond
from apps.backend.schemas.common import problems
from apps.backend.schemas.search import ChatIn, ChatOut, CitationOut, CitationsEvent, TokenEvent
from localmind.chat.events import Citations, Done, Token
from localmind.model import SourceId, TenantId

router = APIRouter(prefix="/api/v1/chat", tags=["chat"])

REFUSED = problems(_400="The message is longer than may be asked.", _404="No such conversation.")


@router.post("", responses=REFUSED)
def chat(mind: Mind, tenant: Reader, body: ChatIn) -> ChatOut:
    """Answer from the sources. Without `conversation_id` a new conversation begins."""
    return ChatOut.of(mind.chat.answer(tenant, body.message, **_options(body)))


@router.post("/stream", response_class=EventSourceResponse, responses={**REFUSED, **STREAM})
async def chat_stream(mind: Mind, tenant: Reader, body: ChatIn, request: Request) -> EventSourceResponse:
    """The same as events: `token` {text}, once `citations` {citations}, then `done` with the whole answer, or `error` with a problem."""
    return await respond(request, lambda: _events(mind, tenant, body))


def _events(mind: Mind, tenant: TenantId, body: ChatIn) -> Events:
    for item in mind.chat.stream(tenant, body.message, **_options(body)):
        match item:
            case Token(text):
                yield event("token", TokenEvent(text=text))
            case Citations(items):
                yield event("citations", CitationsEvent(citations=[CitationOut.of(one) for one in items]))
            case Done(answer):
                yield event("done", ChatOut.of(answer))


def _options(body: ChatIn) -> dict[str, Any]:
    return {
        "conversation_id": body.conversation_id,
        "mode": body.mode,
        "source_ids": None if body.source_ids is None else [SourceId(one) for one in body.source_ids],
        "tags": body.tags,
    }
