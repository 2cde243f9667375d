from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localmind.chat import extractive
from localmind.chat.extractive import Statement, answer
from localmind.embedding.port import Embedder
from localmind.errors import LLMUnavailable
from localmind.model import ChunkId, Hit, Ranks, SourceId

# Each: title, heading, text of one passage.
PASSAGES = [
    (
        "Pump manual",
        "Maintenance",
        "The pump is checked every 400 hours of\nwork. A worn seal must be replaced before the next start. "
        "The seal is part number 4711-B. Oil is changed once a year, in spring.",
    ),
    (
        "Lease",
        "Term",
        "The lease begins on 1 March 2021 and ends on 28 February 2026. The tenant pays 1,250 euros a month. "
        "The deposit is held by Berger & Sons. Pets are allowed only with written consent.",
    ),
    (
        "Forth Bridge",
        "",
        "The Forth Bridge is a cantilever railway bridge across the Firth of Forth in Scotland. It was designed by the engineers "
        "Sir John Fowler and Sir Benjamin Baker. It opened on 4 March 1890. About 4,600 men worked on it at the peak.",
    ),
    (
        "Backups",
        "How do I make a backup?",
        "## How do I make a backup?\n\nStop the service and copy the data folder:\n\n```\ncp -a ~/.data ~/backup\n```\n\n"
        "Keep the copy on another disk. A copy made while the service runs may be of no use.",
    ),
    (
        "Coffee machine",
        "Error codes",
        "The display shows a code when something is wrong:\n- E1: the water tank is empty\n- E2: the grinder is blocked\n"
        "- E3: the drip tray is full\nCall the service when a code does not go away.",
    ),
    (
        "Staff handbook",
        "Holidays",
        "Every employee has 28 days of paid leave a year. Leave is requested from the team lead at least two weeks ahead. "
        "Unused days expire at the end of March.",
    ),
]

QUESTIONS = [
    ("How often is the pump checked?", "checked every 400 hours of work"),
    ("What is the part number of the seal?", "4711-B"),
    ("When does the lease end?", "28 February 2026"),
    ("How much rent does the tenant pay?", "1,250 euros"),
    ("Who holds the deposit?", "Berger & Sons"),
    ("Am I allowed to have pets?", "Pets are allowed only with written consent"),
    ("Who designed the Forth Bridge?", "Sir John Fowler and Sir Benjamin Baker"),
    ("When was the Forth Bridge opened?", "4 March 1890"),
    ("How many men worked on the bridge?", "4,600"),
    ("Where is the Forth Bridge?", "in Scotland"),
    ("How do I make a backup?", "Stop the service and copy the data folder:"),
    ("What does E2 mean on the coffee machine?", "E2: the grinder is blocked"),
    ("How many days of leave do employees have?", "28 days of paid leave"),
    ("When do unused leave days expire?", "end of March"),
]


@pytest.fixture
def hits(hit: Any) -> list[Hit]:
    return [hit(text, title=title, heading=heading, start=50) for title, heading, text in PASSAGES]


def joined(statements: list[Statement]) -> str:
    return "\n".join(f"{one.text}\n{one.block}" for one in statements)


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
def test_finds_the_sentence_that_answers(question: str, expected: str, hits: list[Hit], embedder: Embedder) -> None:
    statements = answer(question, hits, embedder)
    assert expected in joined(statements)
    assert 1 <= len(statements) <= extractive.MAX_STATEMENTS


@pytest.mark.parametrize(
    "question",
    [
        "How do I bake sourdough bread?",
        "asdf qwer zxcv",
        "Who won the world cup in 1998?",
        "What is the capital of Australia?",
        "Which medication helps against migraine?",
        "???",
        "the of and",
    ],
)
def test_says_nothing_where_nothing_fits(question: str, hits: list[Hit], embedder: Embedder) -> None:
    assert answer(question, hits, embedder) == []


def test_without_hits_there_is_no_answer(embedder: Embedder) -> None:
    assert answer("How often is the pump checked?", [], embedder) == []


def test_a_line_break_inside_a_sentence_is_in_the_quote_and_not_in_the_answer(hits: list[Hit], embedder: Embedder) -> None:
    best = answer("How often is the pump checked?", hits, embedder)[0]
    assert best.text == "The pump is checked every 400 hours of work."
    assert best.hit.text[best.span.start : best.span.end] == "The pump is checked every 400 hours of\nwork."


def test_a_lead_brings_the_code_that_it_introduces(hits: list[Hit], embedder: Embedder) -> None:
    best = answer("How do I make a backup?", hits, embedder)[0]
    assert (best.text, best.block) == ("Stop the service and copy the data folder:", "```\ncp -a ~/.data ~/backup\n```")


def test_a_lead_brings_the_list_that_it_introduces(hits: list[Hit], embedder: Embedder) -> None:
    statements = answer("What does the display of the coffee machine show when something is wrong?", hits, embedder)
    assert statements[0].block == "- E1: the water tank is empty\n- E2: the grinder is blocked\n- E3: the drip tray is full"


def test_a_lead_whose_list_was_cut_off_is_not_preferred(hit: Any, embedder: Embedder) -> None:
    cut = hit("The usual causes of a failed ingest are these:", title="Runbook")
    rest = hit("- The file is encrypted, and the ingest failed.\n- The file is damaged.", title="Runbook")
    assert answer("What are the causes of a failed ingest?", [cut, rest], embedder)[0].text.startswith("The file is encrypted")


def test_a_sentence_that_points_back_brings_the_one_before_it(hit: Any, embedder: Embedder) -> None:
    text = "The old mill stands by the river. It was sold to the Carter family in 1956. Nobody lives there."
    best = answer("Who bought the mill in 1956?", [hit(text, title="Village history")], embedder)[0]
    assert best.text == "The old mill stands by the river. It was sold to the Carter family in 1956."


def test_what_is_said_twice_is_quoted_once(hit: Any, embedder: Embedder) -> None:
    copies = [
        hit("The pump is checked every 400 hours of work."),
        hit("Every 400 hours of work the pump is checked."),
        hit("Oil is black."),
    ]
    assert len(answer("How often is the pump checked?", copies, embedder)) == 1


def test_sentences_of_a_source_stand_in_the_order_of_its_text(hits: list[Hit], embedder: Embedder) -> None:
    statements = answer("Tell me about the pump: its checks, its seal and its oil", hits, embedder)
    places = [one.span.start for one in statements if one.hit.title == "Pump manual"]
    assert len(places) > 1
    assert places == sorted(places)


def test_a_follow_up_asks_for_what_it_says_itself(hits: list[Hit], embedder: Embedder) -> None:
    statements = answer("And who designed it?", hits, embedder, query="And who designed it? opened Forth Bridge")
    assert "Fowler" in statements[0].text


def test_words_alone_decide_where_the_embedder_is_away(hits: list[Hit]) -> None:
    class Away:
        def embed_documents(self, texts: object) -> Any:
            raise LLMUnavailable("The embedding server does not answer.")

    away: Any = Away()
    assert "Berger & Sons" in joined(answer("Who holds the deposit?", hits, away))
    assert answer("What is the capital of Australia?", hits, away) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.text(max_size=60), st.sampled_from([t for _, _, t in PASSAGES])), min_size=1, max_size=4).map("\n".join))
def test_every_span_lies_in_its_hit(embedder: Embedder, text: str) -> None:
    made = Hit(ChunkId("c"), SourceId("s"), "Pump manual", text, 0, len(text), 1.0, Ranks())
    for statement in answer("How often is the pump checked, and who designed the bridge?", [made], embedder):
        assert 0 <= statement.span.start < statement.span.end <= len(text)
        assert "[1]" not in statement.text
