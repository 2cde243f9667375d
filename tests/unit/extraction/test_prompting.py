"""The prompt's size, what may fill it in, and how passages share a call."""

from __future__ import annotations

import json

import pytest

from localmind.embedding.tokenizer import MiniLMTokenizer
from localmind.extraction import prompting
from localmind.extraction.port import Passage
from localmind.llm.tokens import estimated_tokens
from localmind.model import ENTITY_TYPES

PASSAGE = Passage("Handbook", "Queues", "The Message Queue keeps messages for 7 days. " * 20)
MOST_PROMPT_TOKENS = 700


def tokens_beside_the_text(passages):
    """Of the messages and the schema, in the tokenizer of the bundled embedding model (WordPiece: a mark is a token each, so JSON
    counts for more than in a language model's own tokenizer)."""
    empty = [Passage("", "", "") for _ in passages]
    written = [turn.content for turn in prompting.turns(empty, ENTITY_TYPES)]
    written.append(json.dumps(prompting.schema(len(empty)), separators=(",", ":")))
    return sum(map(len, MiniLMTokenizer().spans_batch(written)))


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_passage_is_sent_with_at_most_700_tokens_beside_its_text(count):
    assert tokens_beside_the_text([PASSAGE] * count) <= MOST_PROMPT_TOKENS * count


def test_types_stand_in_the_prompt_as_they_are_set():
    assert "one of drug, {answer}, side effect;" in prompting.system(("drug", "{answer}", "side effect"))


def test_the_example_keeps_to_the_schema():
    example = json.loads(prompting.system(ENTITY_TYPES).split("\n{", 1)[1].join(["{", ""]).split("\n\n")[0])
    one = prompting.schema(1)

    for name, items in example.items():
        wanted = one["properties"][name]["items"]
        assert all(set(wanted["required"]) <= set(item) <= set(wanted["properties"]) for item in items)


def test_every_text_of_several_stands_verbatim_under_an_id_of_its_own():
    passages = [PASSAGE._replace(text=f"Text {n}.\n\n  Odd   spaces stay.") for n in (1, 2)] + [PASSAGE._replace(text="Text 1.")] * 2

    system, user = (turn.content for turn in prompting.turns(passages, ENTITY_TYPES))

    ids = prompting.ids(passages)
    assert len(set(ids)) == 4
    for id_, passage in zip(ids, passages, strict=True):
        assert f"--- PASSAGE {id_} ---\n{passage.text}\n--- END OF PASSAGE {id_} ---" in user
    assert user.count("Title: Handbook") == 1
    assert "every id once" in system


def test_passages_share_a_call_up_to_the_setting_and_the_context():
    def sizes(**limits):
        return [len(group) for group in prompting.groups([PASSAGE] * 7, types=ENTITY_TYPES, **limits)]

    assert sizes(most=3, context_tokens=100_000) == [3, 3, 1]
    assert sizes(most=1, context_tokens=100_000) == [1] * 7
    assert sizes(most=7, context_tokens=1024) == [1] * 7
    assert max(sizes(most=7, context_tokens=8192)) == 4


@pytest.mark.parametrize("count", [1, 2, 4])
def test_prompt_texts_and_answers_fit_the_context(count):
    turns = prompting.turns([PASSAGE] * count, ENTITY_TYPES)

    most = prompting.answer_tokens(turns, count, context_tokens=8192)

    assert sum(estimated_tokens(turn.content) for turn in turns) + most <= 8192
