from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localmind.chat.reasoning import left_out, of_whole
from localmind.model import Usage

PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", " ", "\n", "Answer", " [1]", "</"]), max_size=12)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>Hm.</think>\n\nIt is red.", "It is red."),
        ("\n<think></think>It is red.", "It is red."),
        ("It is <think>red</think>.", "It is <think>red</think>."),
        ("<think>never ends", ""),
        ("<thin", "<thin"),
        ("", ""),
    ],
)
def test_a_leading_thought_is_left_out(text: str, answer: str) -> None:
    assert of_whole(text) == answer


@settings(deadline=None)
@given(PIECES)
def test_it_does_not_matter_how_the_text_is_cut(pieces: list[str]) -> None:
    letters = "".join(piece for piece in left_out("".join(pieces)) if isinstance(piece, str))
    assert letters == of_whole("".join(pieces)) == "".join(piece for piece in left_out(pieces) if isinstance(piece, str))


def test_the_usage_comes_through() -> None:
    assert list(left_out(["<think>", "Hm.", Usage(3, 4)])) == [Usage(3, 4)]
