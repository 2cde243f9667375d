"""Removes what a partition holds: its documents by the ordinary delete jobs, and the conversations about them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from localmind.errors import NotFound

if TYPE_CHECKING:
    from localmind.chat.conversations import Conversations
    from localmind.ingest.sources import Sources
    from localmind.model import TenantId

BATCH = 100


def empty(partition: TenantId, sources: Sources, conversations: Conversations) -> None:
    """Returns once every delete is accepted; workers carry them out. May be cut off and run again."""
    while found := sources.list(partition, limit=BATCH).items:
        for source in found:
            with suppress(NotFound):  # what came out of another one goes with it
                sources.delete(partition, source.id)
    while kept := conversations.list(partition, limit=BATCH).items:
        for conversation in kept:
            conversations.delete(partition, conversation.id)
