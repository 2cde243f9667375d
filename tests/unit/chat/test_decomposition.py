"""A question that needs two documents is searched for in parts, and is never worse off for it."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from localmind.chat import decomposition
from localmind.chat.decomposition import Decomposition, may_need_several, together
from localmind.chat.service import Chat
from localmind.llm.openai import OpenAILLM
from localmind.model import PERSONAL, ChunkId, Hit, Mode, SearchResult, SourceId, TenantId
from tests.llm_server import Failure, HalfJson, Hang, LLMServer, Page

BORN = "When was the director of the film Kestrel born?"
PARTS = ["Who directed the film Kestrel?", "When was the director of Kestrel born?"]
BIRTH = "Ada Brunel was born in 1961 in Portsmouth."
FILM = "The film Kestrel was directed by Ada Brunel."


class HopSearch:
    """Finds for each query what its words say: the whole question finds the film alone, its second part the birth."""

    def __init__(self, by_query: dict[str, list[Hit]]) -> None:
        self.by_query = by_query
        self.asked: list[str] = []

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
        self.asked.append(query)
        return SearchResult(tuple(self.by_query.get(query, ())[:limit]), 1.0)

    def neighbours(self, tenant: TenantId, ids: Collection[ChunkId]) -> dict[ChunkId, list[Hit]]:
        return {}


@pytest.fixture
def search(hit: Any) -> HopSearch:
    film, birth = hit(FILM, title="Films"), hit(BIRTH, title="People")
    fillers = [hit(f"Nothing much, number {n}.") for n in range(8)]
    return HopSearch({BORN: [film, *fillers], PARTS[0]: [film, *fillers], PARTS[1]: [birth]})


@pytest.fixture
def llm(llm_server: LLMServer) -> Iterator[OpenAILLM]:
    opened = OpenAILLM(llm_server.base_url, "", "scripted", timeout_s=5, attempts=1)
    yield opened
    opened.close()


@pytest.fixture
def chat(search: HopSearch, conversations: Any, embedder: Any, llm: OpenAILLM) -> Chat:
    return Chat(search, conversations, embedder, llm, context_tokens=4096)


def number_of(text: str, request: Any) -> str:
    """The number under which a passage stands in a prompt."""
    return str(request.user.split(text)[0].rpartition('number="')[2].partition('"')[0])


def test_documents_of_both_hops_are_cited(chat: Chat, search: HopSearch, llm_server: LLMServer) -> None:
    llm_server.reply(
        {"questions": PARTS},
        lambda request: f"{FILM} [{number_of(FILM, request)}] {BIRTH} [{number_of(BIRTH, request)}]",
    )

    answer = chat.answer(PERSONAL, BORN)

    assert [one.title for one in answer.citations] == ["Films", "People"]
    assert search.asked == [BORN, *PARTS]
    assert len(llm_server.requests) == 2
    assert BORN in llm_server.requests[0].user and BORN in llm_server.requests[1].user
    assert answer.degraded == ()
    assert answer.usage.prompt_tokens > len(llm_server.requests[1].user.split())


@pytest.mark.parametrize(
    "trouble",
    [
        Failure(500),
        Failure(401),
        Page(),
        HalfJson(),
        "no idea",
        {"questions": []},
        {"questions": "Who?"},
        {"questions": [1, None, {}]},
        {"questions": ["What is the capital of France?", "Who won in Reykjavik?"]},
        {"questions": [BORN]},
        {"questions": ["x Kestrel " * 100, "Kestrel " * 100]},
        "[" * 10_000,
    ],
    ids=["500", "401", "HTML", "half", "prose", "none", "a string", "no strings", "foreign", "itself", "too long", "brackets"],
)
def test_without_sensible_parts_it_goes_on_with_the_question_alone(
    trouble: Any, chat: Chat, search: HopSearch, llm_server: LLMServer
) -> None:
    llm_server.reply(trouble)
    llm_server.always(f"{FILM} [1]")

    answer = chat.answer(PERSONAL, BORN)

    assert [one.title for one in answer.citations] == ["Films"]
    assert search.asked == [BORN]
    assert answer.degraded == ()


def test_a_slow_model_is_not_waited_for_and_after_three_times_not_asked(llm: OpenAILLM, llm_server: LLMServer) -> None:
    now = [100.0]
    parts = Decomposition(llm, timeout_s=0.2, clock=lambda: now[0])
    llm_server.always(Hang())
    begun = time.monotonic()
    for _ in range(5):
        assert parts.parts_of(BORN).questions == ()
    assert time.monotonic() - begun < 12  # it is 0.6 s of waiting; the model's own limit would make it 15
    assert len(llm_server.requests) == 3

    now[0] += decomposition.REST_S + 1
    llm_server.release()
    llm_server.always({"questions": PARTS})
    assert parts.parts_of(BORN).questions == tuple(PARTS)


@pytest.mark.parametrize(
    "question",
    [
        BORN,
        "Which film was made first, Kestrel or Heron, and who paid for it?",
        "Are the pumps of Portsmouth and Southampton of the same make?",
        "who founded the company that built the northern pump of portsmouth",
        "Wann wurde der Regisseur des Films Kestrel in Portsmouth geboren?",
    ],
)
def test_a_question_with_two_things_in_it_may_need_several(question: str) -> None:
    assert may_need_several(question)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Kestrel",
        "What is a pump?",
        "How do I reset the password?",
        "Who built the Kestrel?",
        "Kestrel and Heron",
        "x of y for z " * 500,
    ],
)
def test_a_simple_question_costs_no_call(question: str, llm: OpenAILLM, llm_server: LLMServer) -> None:
    assert Decomposition(llm).parts_of(question).questions == ()
    assert llm_server.requests == []


def test_without_a_model_nothing_changes(search: HopSearch, conversations: Any, embedder: Any) -> None:
    Chat(search, conversations, embedder, None, context_tokens=4096).answer(PERSONAL, BORN)

    assert search.asked == [BORN]


def test_at_most_three_parts_are_taken(llm: OpenAILLM, llm_server: LLMServer) -> None:
    llm_server.reply(f"Sure: {json.dumps({'questions': [f'Who was the Kestrel director number {n}?' for n in range(9)]})}")

    assert len(Decomposition(llm).parts_of(BORN).questions) == 3


def test_hits_are_joined_in_turns_and_the_whole_keeps_its_first_half(hit: Any) -> None:
    own, first, second = ([hit(f"{name} {n}") for n in range(8)] for name in ("own", "first", "second"))

    found = together(own, [[own[0], *first], second], limit=8)

    assert [each.text for each in found] == [
        *("own 0", "own 1", "first 0", "second 0", "own 2", "own 3", "first 1", "second 1", "own 4", "own 5", "first 2", "second 2"),
    ]
    assert together(own[:2], [[], own], limit=8) == own
    assert together([], [first], limit=2) == first[:6]
