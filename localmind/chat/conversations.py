"""Conversations as they are kept: in the catalog, with every answer's citations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from localmind.accounts.acting import current
from localmind.catalog import cursors
from localmind.catalog.database import Database
from localmind.catalog.tables import conversation as conversations
from localmind.catalog.tables import message as messages
from localmind.chat.cleaning import cleaned
from localmind.errors import InvalidInput, NotFound
from localmind.ids import is_id, random_id
from localmind.model import Citation, Conversation, ListPage, Message, TenantId

MAX_LIMIT = 200
MAX_TITLE_CHARS = 200
TITLE_CHARS = 80
"""Length of a title that is made from a first question."""


class Conversations:
    """clock: gives aware times in UTC."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._clock = clock

    def list(self, tenant: TenantId, *, limit: int = 50, cursor: str | None = None) -> ListPage[Conversation]:
        """Without their messages, the one with the latest message first. Raises InvalidInput, BadCursor."""
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidInput(f"limit is {limit}.", hint=f"Ask for 1 to {MAX_LIMIT} conversations at a time.")
        order = sa.tuple_(conversations.c.updated_at, conversations.c.id)
        query = sa.select(conversations).where(conversations.c.tenant == tenant)
        if cursor is not None:
            query = query.where(order < sa.tuple_(*map(sa.literal, cursors.decode(cursor, float, str))))
        query = query.order_by(conversations.c.updated_at.desc(), conversations.c.id.desc()).limit(limit + 1)
        with self._database.read(tenant) as connection:
            rows = connection.execute(query).all()
        more = cursors.encode(rows[limit - 1].updated_at, rows[limit - 1].id) if len(rows) > limit else None
        return ListPage(tuple(_conversation(row, ()) for row in rows[:limit]), more)

    def get(self, tenant: TenantId, conversation_id: str) -> Conversation:
        """With its messages, oldest first. Raises NotFound."""
        told = sa.select(messages).where(messages.c.tenant == tenant, messages.c.conversation_id == conversation_id)
        with self._database.read(tenant) as connection:
            row = connection.execute(sa.select(conversations).where(*_is(tenant, conversation_id))).one_or_none()
            if row is None:
                raise _not_found(conversation_id)
            return _conversation(row, tuple(_message(one) for one in connection.execute(told.order_by(messages.c.ordinal))))

    def create(self, tenant: TenantId, title: str) -> Conversation:
        now = self._clock()
        made = Conversation(id=random_id(), title=_checked_title(title), created_at=now, updated_at=now)
        times = {"created_at": now.timestamp(), "updated_at": now.timestamp()}
        row = {"id": made.id, "tenant": tenant, "title": made.title, "user_id": current().user_id, **times}
        with self._database.write(tenant) as connection:
            connection.execute(sa.insert(conversations).values(row))
        return made

    def rename(self, tenant: TenantId, conversation_id: str, title: str) -> Conversation:
        """Raises NotFound, InvalidInput. Its place in the list stays."""
        changed = sa.update(conversations).where(*_is(tenant, conversation_id)).values(title=_checked_title(title))
        with self._database.write(tenant) as connection:
            if connection.execute(changed).rowcount == 0:
                raise _not_found(conversation_id)
        return self.get(tenant, conversation_id)

    def delete(self, tenant: TenantId, conversation_id: str) -> None:
        """With its messages. Raises NotFound."""
        told = sa.delete(messages).where(messages.c.tenant == tenant, messages.c.conversation_id == conversation_id)
        with self._database.write(tenant) as connection:
            if connection.execute(sa.delete(conversations).where(*_is(tenant, conversation_id))).rowcount == 0:
                raise _not_found(conversation_id)
            connection.execute(told)

    def append(self, tenant: TenantId, conversation_id: str, added: Sequence[Message]) -> None:
        """Put messages at the end. Raises NotFound, also when the conversation was deleted meanwhile."""
        last = sa.select(sa.func.coalesce(sa.func.max(messages.c.ordinal), -1)).where(messages.c.conversation_id == conversation_id)
        touched = sa.update(conversations).where(*_is(tenant, conversation_id)).values(updated_at=self._clock().timestamp())
        with self._database.write(tenant) as connection:
            if connection.execute(touched).rowcount == 0:  # on PostgreSQL this also locks the row: ordinals can't collide
                raise _not_found(conversation_id)
            following = connection.execute(last).scalar_one() + 1
            rows = [_row(tenant, conversation_id, ordinal, one) for ordinal, one in enumerate(added, following)]
            if rows:
                connection.execute(sa.insert(messages), rows)

    def record(self, tenant: TenantId, conversation_id: str | None, question: str, added: Sequence[Message]) -> str:
        """append() and, where there is no conversation yet, create() with the question as its title: one transaction. Returns the id."""
        with self._database.write(tenant):
            known = conversation_id or self.create(tenant, title_of(question)).id
            self.append(tenant, known, added)
        return known

    def export(self, tenant: TenantId, conversation_id: str) -> dict[str, Any]:
        """Everything about a conversation, ready for JSON; times as ISO 8601."""
        found = asdict(self.get(tenant, conversation_id))
        for timed in (found, *found["messages"]):
            timed |= {name: timed[name].isoformat() for name in ("created_at", "updated_at") if name in timed}
        return found

    def export_markdown(self, tenant: TenantId, conversation_id: str) -> str:
        """For people: questions as headings, below each answer what it cites."""
        found = self.get(tenant, conversation_id)
        return "\n\n".join([f"# {found.title}", *(_as_markdown(one) for one in found.messages)]) + "\n"


def title_of(question: str) -> str:
    """The beginning of a question on one line, cut at a word."""
    line = " ".join(question.split())
    if len(line) <= TITLE_CHARS:
        return line
    words, space, _ = line[:TITLE_CHARS].rpartition(" ")
    return (words if space else line[: TITLE_CHARS - 1]) + "…"


def _checked_title(title: str) -> str:
    line = " ".join(cleaned(title).split())
    if not 1 <= len(line) <= MAX_TITLE_CHARS:
        raise InvalidInput(
            "The title is empty." if not line else f"The title has {len(line)} characters.", hint=f"Give it 1 to {MAX_TITLE_CHARS}."
        )
    return line


def _is(tenant: TenantId, conversation_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions for a row. Raises NotFound for what can't be an id, and might not even be UTF-8."""
    if not is_id(conversation_id):
        raise _not_found(conversation_id)
    return conversations.c.tenant == tenant, conversations.c.id == conversation_id


def _not_found(conversation_id: str) -> NotFound:
    return NotFound(
        f"There is no conversation {cleaned(conversation_id)[:64]!r}.",
        hint="It may have been deleted: list the conversations, or ask without a conversation_id to begin a new one.",
    )


def _row(tenant: TenantId, conversation_id: str, ordinal: int, one: Message) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "ordinal": ordinal,
        "tenant": tenant,
        "role": one.role,
        "text": cleaned(one.text),
        "citations": [asdict(citation) for citation in one.citations],
        "user_id": current().user_id,
        "created_at": one.created_at.timestamp(),
    }


def _conversation(row: sa.Row[Any], told: tuple[Message, ...]) -> Conversation:
    return Conversation(row.id, row.title, _time(row.created_at), _time(row.updated_at), told)


def _message(row: sa.Row[Any]) -> Message:
    return Message(row.role, row.text, _time(row.created_at), tuple(Citation(**citation) for citation in row.citations))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _as_markdown(one: Message) -> str:
    if one.role == "user":
        return f"## {' '.join(one.text.split())}"
    return "\n\n".join([one.text, *(_cited(citation) for citation in one.citations)])


def _cited(citation: Citation) -> str:
    page = f", page {citation.page}" if citation.page is not None else ""
    quote = " ".join(citation.quote.split())
    return f"> [{citation.n}] {citation.title}{page}: “{quote}”"
