"""Bodies of /api/v1/conversations."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from apps.backend.schemas.common import Filled, Reply, Request, Time
from apps.backend.schemas.search import CitationOut
from localmind.model import Conversation


class Rename(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Soup questions"}]})

    title: Annotated[Filled, Field(max_length=200)]


class MessageOut(Reply):
    role: str = Field(description="user or assistant.")
    text: str
    created_at: Time
    citations: list[CitationOut]


class ConversationHead(Reply):
    """A conversation without its messages."""

    conversation_id: str
    title: str
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, conversation: Conversation) -> ConversationHead:
        return cls(
            conversation_id=conversation.id,
            title=conversation.title,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
        )


class ConversationOut(ConversationHead):
    messages: list[MessageOut]

    @classmethod
    def of(cls, conversation: Conversation) -> ConversationOut:
        head = ConversationHead.of(conversation)
        return cls(**head.model_dump(), messages=[MessageOut.model_validate(message) for message in conversation.messages])
