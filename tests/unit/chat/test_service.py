from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from localmind.chat.conversations import Conversations
from localmind.chat.events import Citations, Done, Event, Token
from localmind.chat.service import INTERRUPTED, MAX_MESSAGE_CHARS, NOT_ANSWERED, Chat
from localmind.embedding.port import Embedder
from localmind.errors import InvalidInput, NotFound, StoreUnavailable
from localmind.llm.openai import OpenAILLM
from localmind.model import PERSONAL, ChunkId, Hit, Mode, SearchResult, SourceId, TenantId
from tests.llm_server import Drop, Failure, Hang, LLMServer

PUMP = "The pump runs at 7 bar. It was installed in 1998 by Anna Miller."
VALVE = "The valve opens at 9 bar. A worn valve is replaced by the supplier."
QUESTION = "At how many bar does the pump run?"


class ScriptedSearch:
    """Gives the same hits for every query, and remembers what it was asked."""

    def __init__(self, *hits: Hit, degraded: tuple[str, ...] = ()) -> None:
        self.hits = hits
        self.degraded = degraded
        self.beside: dict[ChunkId, list[Hit]] = {}
        self.asked: list[dict[str, Any]] = []

    def search(
        self,
        tenant: TenantId,
        query: str,
        *,
        mode: Mode = Mode.HYBRID,
        limit: int = 10,
        source_ids: Collection[SourceId] | None = None,
        tags: Collection[str] | None = None,
    ) -> SearchResult:
        self.asked.append({"tenant": tenant, "query": query, "mode": mode, "limit": limit, "source_ids": source_ids, "tags": tags})
        return SearchResult(self.hits[:limit], 1.0, self.degraded)

    def neighbours(self, tenant: TenantId, ids: Collection[ChunkId]) -> dict[ChunkId, list[Hit]]:
        return {id_: self.beside[id_] for id_ in ids if id_ in self.beside}


@pytest.fixture
def search(hit: Any) -> ScriptedSearch:
    return ScriptedSearch(hit(PUMP, title="Pumps", page=3, start=100), hit(VALVE, title="Valves"))


@pytest.fixture
def llm(llm_server: LLMServer) -> OpenAILLM:
    return OpenAILLM(llm_server.base_url, "", "scripted", timeout_s=5, attempts=1)


@pytest.fixture
def extractive(search: ScriptedSearch, conversations: Conversations, embedder: Embedder) -> Chat:
    return Chat(search, conversations, embedder, None, context_tokens=4096)


@pytest.fixture
def chat(search: ScriptedSearch, conversations: Conversations, embedder: Embedder, llm: OpenAILLM) -> Chat:
    return Chat(search, conversations, embedder, llm, context_tokens=4096)


def tokens(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Token)]


# --- without an LLM


def test_the_sentence_that_answers_is_given_with_its_citation(extractive: Chat) -> None:
    answer = extractive.answer(PERSONAL, QUESTION)
    assert answer.answer.startswith("The pump runs at 7 bar. [1]")
    first = answer.citations[0]
    assert (first.n, first.title, first.page, first.quote) == (1, "Pumps", 3, "The pump runs at 7 bar.")
    assert (first.start, first.end) == (100, 123)
    assert (answer.degraded, answer.usage.prompt_tokens) == ((), 0)


def test_the_stream_ends_with_citations_and_the_whole(extractive: Chat) -> None:
    *spoken, citations, done = list(extractive.stream(PERSONAL, QUESTION))
    assert isinstance(citations, Citations)
    assert isinstance(done, Done)
    assert "".join(tokens(spoken)) == done.answer.answer
    assert citations.items == done.answer.citations


def test_what_the_sources_do_not_answer_is_said_to_be_so(extractive: Chat) -> None:
    answer = extractive.answer(PERSONAL, "Who won the chess championship in Reykjavik?")
    assert (answer.answer, answer.citations) == (NOT_ANSWERED, ())


def test_an_empty_knowledge_base_answers_nothing(
    conversations: Conversations, embedder: Embedder, llm: OpenAILLM, llm_server: LLMServer
) -> None:
    for model in (None, llm):
        chat = Chat(ScriptedSearch(), conversations, embedder, model, context_tokens=4096)
        assert chat.answer(PERSONAL, QUESTION).answer == NOT_ANSWERED
    assert llm_server.requests == []


def test_search_gets_what_the_caller_asked_for(extractive: Chat, search: ScriptedSearch) -> None:
    extractive.answer(PERSONAL, QUESTION, mode=Mode.TEXT, source_ids=[SourceId("s")], tags=["manual"])
    assert search.asked == [{"tenant": PERSONAL, "query": QUESTION, "mode": Mode.TEXT, "limit": 8, "source_ids": ["s"], "tags": ["manual"]}]


def test_an_index_that_is_away_is_named(conversations: Conversations, embedder: Embedder, hit: Any) -> None:
    chat = Chat(ScriptedSearch(hit(PUMP), degraded=("graph",)), conversations, embedder, None, context_tokens=4096)
    assert chat.answer(PERSONAL, QUESTION).degraded == ("graph",)


# --- with an LLM


def test_the_llm_answers_from_the_passages_and_its_numbers_are_checked(chat: Chat, llm_server: LLMServer) -> None:
    llm_server.reply("The valve opens at 9 bar [2], the pump runs at 7 [1][5]. So there [9].")
    answer = chat.answer(PERSONAL, QUESTION)
    assert answer.answer == "The valve opens at 9 bar [1], the pump runs at 7 [2]. So there."
    assert [(one.title, one.quote) for one in answer.citations] == [
        ("Valves", "The valve opens at 9 bar."),
        ("Pumps", "The pump runs at 7 bar."),
    ]
    assert answer.usage.prompt_tokens > 0
    assert PUMP in llm_server.requests[0].user
    assert answer.degraded == ()


def test_the_llm_reads_what_stands_beside_the_best_passages_and_may_cite_it(
    chat: Chat, search: ScriptedSearch, llm_server: LLMServer, hit: Any
) -> None:
    best = search.hits[0]
    after = hit("Above 8 bar it stops.", title="Pumps", source=best.source_id, page=4, start=best.end + 1)
    search.beside[best.chunk_id] = [after]
    llm_server.reply("It stops above 8 bar [2].")
    answer = chat.answer(PERSONAL, "When does the pump stop?")
    (cited,) = answer.citations
    assert (cited.chunk_id, cited.page, cited.start, cited.quote) == (after.chunk_id, 4, after.start, "Above 8 bar it stops.")


def test_no_token_of_the_stream_has_an_invented_number(chat: Chat, llm_server: LLMServer) -> None:
    llm_server.reply("It runs at 7 bar [ 7 , 8 ] or so [1, 7] .")
    spoken = tokens(list(chat.stream(PERSONAL, QUESTION)))
    assert "".join(spoken) == "It runs at 7 bar or so [1] ."
    assert not any("8" in token or "7 ]" in token for token in spoken)


def test_what_a_reasoning_model_thinks_is_not_said(chat: Chat, llm_server: LLMServer) -> None:
    llm_server.reply("<think>Which pump [1]?</think>\n\nAt 7 bar [1].")
    assert chat.answer(PERSONAL, QUESTION).answer == "At 7 bar [1]."


@pytest.mark.parametrize("failure", [Failure(500), Failure(401, "bad key"), Failure(404, "no such model"), Drop(), "", "<think>too long"])
def test_when_the_llm_fails_the_sources_answer(chat: Chat, llm_server: LLMServer, failure: Any) -> None:
    llm_server.reply(failure)
    answer = chat.answer(PERSONAL, QUESTION)
    assert answer.answer.startswith("The pump runs at 7 bar. [1]")
    assert answer.degraded == ("llm",)


def test_when_the_llm_breaks_off_the_sources_go_on(chat: Chat, llm_server: LLMServer) -> None:
    llm_server.reply(Drop(after=3))
    answer = chat.answer(PERSONAL, QUESTION)
    assert answer.answer.startswith(f"piece0 piece1 piece2\n\n{INTERRUPTED}\n\nThe pump runs at 7 bar. [1]")
    assert answer.degraded == ("llm",)


def test_when_the_llm_is_away_it_is_asked_once(chat: Chat, llm_server: LLMServer) -> None:
    llm_server.reply("At 7 bar [1].", Failure(500))
    begun = chat.answer(PERSONAL, QUESTION)
    answer = chat.answer(PERSONAL, "Who installed it?", conversation_id=begun.conversation_id)
    assert "1998 by Anna Miller. [1]" in answer.answer
    assert answer.degraded == ("llm",)
    assert len(llm_server.requests) == 2


# --- conversations


def test_a_conversation_is_begun_with_the_question_as_its_title(extractive: Chat, conversations: Conversations) -> None:
    answer = extractive.answer(PERSONAL, QUESTION)
    kept = conversations.get(PERSONAL, answer.conversation_id)
    assert kept.title == QUESTION
    assert [(one.role, one.text) for one in kept.messages] == [("user", QUESTION), ("assistant", answer.answer)]
    assert kept.messages[1].citations == answer.citations


def test_a_follow_up_is_searched_with_its_context(extractive: Chat, search: ScriptedSearch, conversations: Conversations) -> None:
    begun = extractive.answer(PERSONAL, QUESTION)
    answer = extractive.answer(PERSONAL, "Who installed it?", conversation_id=begun.conversation_id)
    assert search.asked[-1]["query"] == "Who installed it? bar pump run"
    assert "1998 by Anna Miller. [1]" in answer.answer
    assert len(conversations.get(PERSONAL, begun.conversation_id).messages) == 4


def test_a_follow_up_is_rewritten_by_the_llm(chat: Chat, search: ScriptedSearch, llm_server: LLMServer) -> None:
    llm_server.reply("At 7 bar [1].", "Who installed the pump?", "Anna Miller installed it [1].")
    begun = chat.answer(PERSONAL, QUESTION)
    answer = chat.answer(PERSONAL, "Who installed it?", conversation_id=begun.conversation_id)
    assert search.asked[-1]["query"] == "Who installed the pump?"
    assert llm_server.requests[-1].user.endswith("Question: Who installed the pump?")
    assert answer.citations[0].quote == "It was installed in 1998 by Anna Miller."


def test_an_answer_that_nobody_waits_for_is_kept_as_far_as_it_was_said(
    chat: Chat, llm_server: LLMServer, conversations: Conversations
) -> None:
    llm_server.reply(Hang(after=4))
    events = chat.stream(PERSONAL, QUESTION)
    spoken = [next(events), next(events)]
    events.close()
    (kept,) = conversations.list(PERSONAL).items
    assert [one.text for one in conversations.get(PERSONAL, kept.id).messages] == [QUESTION, "".join(tokens(spoken))]


def test_a_stream_that_was_never_begun_keeps_nothing(extractive: Chat, conversations: Conversations) -> None:
    extractive.stream(PERSONAL, QUESTION).close()
    assert conversations.list(PERSONAL).items == ()


def test_a_conversation_that_is_deleted_meanwhile_stays_deleted(extractive: Chat, conversations: Conversations) -> None:
    begun = extractive.answer(PERSONAL, QUESTION).conversation_id
    events = extractive.stream(PERSONAL, QUESTION, conversation_id=begun)
    next(events)
    conversations.delete(PERSONAL, begun)
    assert isinstance(list(events)[-1], Done)
    assert conversations.list(PERSONAL).items == ()


def test_a_failing_search_leaves_no_conversation(conversations: Conversations, embedder: Embedder) -> None:
    class Away(ScriptedSearch):
        def search(self, *_: Any, **__: Any) -> SearchResult:
            raise StoreUnavailable("The catalog does not answer.")

    with pytest.raises(StoreUnavailable):
        Chat(Away(), conversations, embedder, None, context_tokens=4096).answer(PERSONAL, QUESTION)
    assert conversations.list(PERSONAL).items == ()


# --- bad input


@pytest.mark.parametrize("message", ["", "  \n ", "\0", "x" * (MAX_MESSAGE_CHARS + 1)])
def test_a_message_that_is_none_is_refused_before_the_stream_begins(extractive: Chat, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        extractive.stream(PERSONAL, message)
    assert refusal.value.hint


def test_a_message_too_long_for_the_model_is_refused_before_the_stream_begins(chat: Chat, llm_server: LLMServer) -> None:
    with pytest.raises(InvalidInput, match="CONTEXT_WINDOW"):
        chat.stream(PERSONAL, "ä" * 9000)
    assert llm_server.requests == []


def test_a_message_with_lone_surrogates_is_answered(extractive: Chat, conversations: Conversations) -> None:
    answer = extractive.answer(PERSONAL, QUESTION + "\ud800\0")
    assert conversations.get(PERSONAL, answer.conversation_id).messages[0].text == QUESTION + "?"


@pytest.mark.parametrize("tenant", [PERSONAL, TenantId("other")])
def test_an_unknown_conversation_is_said_to_be_so(extractive: Chat, tenant: TenantId) -> None:
    known = extractive.answer(PERSONAL, QUESTION).conversation_id
    with pytest.raises(NotFound):
        extractive.stream(tenant, QUESTION, conversation_id="nope" if tenant == PERSONAL else known)
