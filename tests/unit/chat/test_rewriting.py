from __future__ import annotations

from datetime import UTC, datetime

import pytest

from localmind.chat.rewriting import Question, leans_on_earlier, standalone, with_earlier_words
from localmind.llm.openai import OpenAILLM
from localmind.model import Message, Usage
from tests.llm_server import Failure, LLMServer


def told(*texts: str) -> list[Message]:
    """Questions and answers in turn."""
    return [Message("user" if n % 2 == 0 else "assistant", text, datetime(2026, 1, 1, tzinfo=UTC)) for n, text in enumerate(texts)]


HISTORY = told("Who designed the Forth Bridge?", "John Fowler and Benjamin Baker designed it [1].")


@pytest.fixture
def llm(llm_server: LLMServer) -> OpenAILLM:
    return OpenAILLM(llm_server.base_url, "", "scripted", timeout_s=5, attempts=1)


@pytest.mark.parametrize(
    "question",
    [
        "When was it built?",
        "And the cost?",
        "Why?",
        "What about trains?",
        "Does that work on Windows?",
        "How do they paint it?",
        "who else",
        "is this safe?",
    ],
)
def test_a_follow_up_gets_the_words_of_the_question_before_it(question: str) -> None:
    assert leans_on_earlier(question)
    assert with_earlier_words(question, HISTORY) == f"{question} designed Forth Bridge"


@pytest.mark.parametrize(
    "question", ["Which painter made the portrait of Erasmus in 1523?", "List the functions that return text in uppercase letters"]
)
def test_a_question_that_stands_alone_stays_as_it_is(question: str) -> None:
    assert with_earlier_words(question, HISTORY) == question


def test_a_follow_up_to_a_follow_up_reaches_the_question_that_both_are_about() -> None:
    history = [*HISTORY, *told("When was it built?", "In 1890 [1].")]
    assert with_earlier_words("And painted?", history) == "And painted? built designed Forth Bridge"


def test_a_first_question_is_not_rewritten(llm: OpenAILLM, llm_server: LLMServer) -> None:
    assert standalone("When was it built?", [], llm) == Question("When was it built?", "When was it built?")
    assert llm_server.requests == []


def test_an_llm_makes_the_question_stand_alone(llm: OpenAILLM, llm_server: LLMServer) -> None:
    llm_server.reply('"When was the Forth Bridge built?"')
    asked = standalone("When was it built?", HISTORY, llm)
    assert asked.search == asked.question == "When was the Forth Bridge built?"
    assert asked.usage.completion_tokens > 0
    assert "user: Who designed the Forth Bridge?" in llm_server.requests[0].user
    assert "[1]" not in llm_server.requests[0].user


@pytest.mark.parametrize("nonsense", ["", "I can't help with that.", "<think>They mean the bridge", "built " * 200])
def test_a_rewriting_that_makes_no_sense_is_not_used(llm: OpenAILLM, llm_server: LLMServer, nonsense: str) -> None:
    llm_server.reply(nonsense)
    asked = standalone("When was it built?", HISTORY, llm)
    assert (asked.search, asked.question, asked.degraded) == ("When was it built? designed Forth Bridge", "When was it built?", False)


def test_what_a_reasoning_model_thinks_is_left_out_of_the_question(llm: OpenAILLM, llm_server: LLMServer) -> None:
    llm_server.reply("<think>it = bridge</think>\n\nWhen was the Forth Bridge built?")
    assert standalone("When was it built?", HISTORY, llm).search == "When was the Forth Bridge built?"


def test_without_the_llm_the_words_must_do_and_it_is_said(llm: OpenAILLM, llm_server: LLMServer) -> None:
    llm_server.reply(Failure(500))
    assert standalone("When was it built?", HISTORY, llm) == Question(
        "When was it built? designed Forth Bridge", "When was it built?", Usage(), degraded=True
    )
