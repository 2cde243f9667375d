"""The place of a mention is found in the text, or it is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.extraction.evidence import place_of

TEXT = "Adamant people know Ada. The Message\n  Queue (MQ) is C++ by Müller-Lüdenscheidt, 東京大学で研究する。"


@pytest.mark.parametrize(
    ("spelling", "found"),
    [
        ("Ada", "Ada"),
        ("message queue", "Message\n  Queue"),
        ("MQ", "MQ"),
        ("C++", "C++"),
        ("müller-lüdenscheidt", "Müller-Lüdenscheidt"),
        ("東京大学", "東京大学"),
        ("学", "学"),
    ],
)
def test_a_spelling_is_found_as_a_whole_word(spelling, found):
    start, end = place_of(TEXT, spelling)

    assert TEXT[start:end] == found
    assert spelling != "Ada" or start == 20


@pytest.mark.parametrize("spelling", ["", " ", "A", "Babbage", "dam", "mant", ".*", "(MQ", "Queue people"])
def test_what_does_not_stand_there_has_no_place(spelling):
    found = place_of(TEXT, spelling)

    assert found is None or TEXT[slice(*found)] == "(MQ"


def test_the_quote_finds_what_the_name_does_not():
    assert place_of(TEXT, "Ada Lovelace", "know Ada") == (15, 23)


@given(st.text(max_size=200), st.text(max_size=50))
def test_a_place_lies_in_the_text(text, spelling):
    found = place_of(text, spelling)

    assert found is None or 0 <= found[0] < found[1] <= len(text)
