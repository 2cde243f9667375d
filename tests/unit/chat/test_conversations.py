from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from localmind.catalog.database import Database
from localmind.chat.conversations import Conversations, title_of
from localmind.errors import BadCursor, InvalidInput, NotFound
from localmind.model import PERSONAL, ChunkId, Citation, Message, SourceId, TenantId

OTHER = TenantId("other")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CITATION = Citation(1, ChunkId("c1"), SourceId("s1"), "Pumps", 10, 25, "The pump\nis red.", page=3)
MESSAGES = [Message("user", "Which colour has the pump?", NOON), Message("assistant", "The pump is red. [1]", NOON, (CITATION,))]


@pytest.fixture
def ticking(database: Database) -> Conversations:
    """A clock that goes on by a minute each time it is read."""
    times: Iterator[datetime] = (NOON + timedelta(minutes=n) for n in range(1000))
    return Conversations(database, clock=lambda: next(times))


def test_messages_come_back_as_they_were_put_in(ticking: Conversations) -> None:
    made = ticking.create(PERSONAL, "Pumps")
    ticking.append(PERSONAL, made.id, MESSAGES)
    ticking.append(PERSONAL, made.id, MESSAGES[:1])
    found = ticking.get(PERSONAL, made.id)
    assert found.messages == (*MESSAGES, MESSAGES[0])
    assert (found.title, found.created_at) == ("Pumps", made.created_at)


def test_the_list_begins_with_the_conversation_last_spoken_in(ticking: Conversations) -> None:
    first, second, third = (ticking.create(PERSONAL, title).id for title in ("one", "two", "three"))
    ticking.append(PERSONAL, first, MESSAGES)
    assert [one.id for one in ticking.list(PERSONAL).items] == [first, third, second]


def test_pages_of_the_list_give_everything_once(ticking: Conversations) -> None:
    made = [ticking.create(PERSONAL, f"number {n}").id for n in range(7)]
    found, cursor = [], None
    for _ in range(4):
        page = ticking.list(PERSONAL, limit=2, cursor=cursor)
        found += [one.id for one in page.items]
        cursor = page.next_cursor
    assert found == made[::-1]
    assert cursor is None


def test_conversations_of_the_same_moment_are_paged_too(database: Database) -> None:
    still = Conversations(database, clock=lambda: NOON)
    made = {still.create(PERSONAL, "same").id for _ in range(5)}
    page = still.list(PERSONAL, limit=3)
    rest = still.list(PERSONAL, limit=3, cursor=page.next_cursor)
    assert {one.id for one in (*page.items, *rest.items)} == made
    assert len(page.items) + len(rest.items) == 5


@pytest.mark.parametrize("cursor", ["", "x", "bm9wZQ", "é", "WzEsIDJd"])
def test_a_cursor_of_somebody_else_is_refused(conversations: Conversations, cursor: str) -> None:
    with pytest.raises(BadCursor):
        conversations.list(PERSONAL, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_limit_out_of_bounds_is_refused(conversations: Conversations, limit: int) -> None:
    with pytest.raises(InvalidInput):
        conversations.list(PERSONAL, limit=limit)


def test_renaming_changes_the_title_alone(ticking: Conversations) -> None:
    first, second = ticking.create(PERSONAL, "one"), ticking.create(PERSONAL, "two")
    assert ticking.rename(PERSONAL, first.id, "  A new\nname ").title == "A new name"
    assert [one.id for one in ticking.list(PERSONAL).items] == [second.id, first.id]


@pytest.mark.parametrize("title", ["", " \n", "x" * 201, "\0"])
def test_a_title_that_cannot_be_shown_is_refused(conversations: Conversations, title: str) -> None:
    made = conversations.create(PERSONAL, "Pumps")
    with pytest.raises(InvalidInput):
        conversations.rename(PERSONAL, made.id, title)


def test_a_deleted_conversation_leaves_no_message(ticking: Conversations, database: Database) -> None:
    made = ticking.create(PERSONAL, "Pumps")
    ticking.append(PERSONAL, made.id, MESSAGES)
    ticking.delete(PERSONAL, made.id)
    with pytest.raises(NotFound):
        ticking.get(PERSONAL, made.id)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM message").scalar_one() == 0


def test_unknown_ids_are_said_to_be_so(conversations: Conversations) -> None:
    for call in (
        lambda: conversations.get(PERSONAL, "nope"),
        lambda: conversations.rename(PERSONAL, "nope", "title"),
        lambda: conversations.delete(PERSONAL, "nope"),
        lambda: conversations.append(PERSONAL, "nope", MESSAGES),
        lambda: conversations.export(PERSONAL, "\ud800'; DROP TABLE message"),
    ):
        with pytest.raises(NotFound) as refusal:
            call()
        assert refusal.value.hint


def test_another_tenant_sees_nothing(ticking: Conversations) -> None:
    made = ticking.create(PERSONAL, "Pumps")
    ticking.append(PERSONAL, made.id, MESSAGES)
    assert ticking.list(OTHER).items == ()
    for call in (
        lambda: ticking.get(OTHER, made.id),
        lambda: ticking.rename(OTHER, made.id, "Mine"),
        lambda: ticking.delete(OTHER, made.id),
        lambda: ticking.append(OTHER, made.id, MESSAGES),
        lambda: ticking.record(OTHER, made.id, "Why?", MESSAGES),
    ):
        with pytest.raises(NotFound):
            call()
    assert ticking.get(PERSONAL, made.id).messages == tuple(MESSAGES)


def test_text_that_no_store_can_carry_is_kept_without_it(conversations: Conversations) -> None:
    made = conversations.create(PERSONAL, "Pumps")
    conversations.append(PERSONAL, made.id, [Message("user", "a\0b\ud800c", NOON)])
    assert conversations.get(PERSONAL, made.id).messages[0].text == "ab?c"


def test_an_export_is_json_with_everything_in_it(conversations: Conversations) -> None:
    known = conversations.record(PERSONAL, None, "Which colour\nhas the pump?", MESSAGES)
    exported = json.loads(json.dumps(conversations.export(PERSONAL, known)))
    assert exported["title"] == "Which colour has the pump?"
    assert exported["messages"][1]["citations"][0]["quote"] == "The pump\nis red."
    assert exported["messages"][0]["created_at"] == "2026-01-01T12:00:00+00:00"


def test_an_export_as_markdown_shows_what_each_answer_cites(conversations: Conversations) -> None:
    known = conversations.record(PERSONAL, None, "Pumps", MESSAGES)
    assert conversations.export_markdown(PERSONAL, known) == (
        "# Pumps\n\n## Which colour has the pump?\n\nThe pump is red. [1]\n\n> [1] Pumps, page 3: “The pump is red.”\n"
    )


@pytest.mark.parametrize(("question", "title"), [("Why?", "Why?"), ("word " * 30, "word " * 15 + "word…"), ("x" * 100, "x" * 79 + "…")])
def test_a_title_is_the_beginning_of_the_first_question(question: str, title: str) -> None:
    assert title_of(question) == title
