from __future__ import annotations

from itertools import islice

import pytest

from localmind.model import ChunkId, Hit, Ranks, SourceId
from localmind.retrieval.duplicates import distinct

TERMS = (
    "The tenant pays the rent on the third day of each month to the account of the landlord, keeps the rooms clean, and says at once "
    "what is broken. Who leaves gives the keys back to the landlord or to someone whom the landlord has named for it in writing. "
    "Water and heating are paid for by what was used; what was paid too much is given back within the month that follows the bill."
)


def left(*texts: str) -> list[str]:
    hits = (Hit(ChunkId(f"c{n}"), SourceId(f"s{n}"), "", text, 0, len(text), 1.0, Ranks()) for n, text in enumerate(texts))
    return [hit.text for hit in distinct(hits)]


@pytest.mark.parametrize(
    "other", [TERMS.upper(), TERMS.replace(" ", "\n"), TERMS.replace(",", " –").replace(".", ""), f"  {TERMS}…", "“" + TERMS + "”"]
)
def test_case_spacing_and_punctuation_make_no_other_text(other: str) -> None:
    assert left(TERMS, "Something else.", other) == [TERMS, "Something else."]


@pytest.mark.parametrize(
    "other", [TERMS.replace("clean", "tidy"), TERMS + " see above", "see above " + TERMS, TERMS.replace("at once ", "")]
)
def test_nearly_the_same_is_the_same(other: str) -> None:
    assert left(TERMS, other) == [TERMS]
    assert left(other, TERMS) == [other]


@pytest.mark.parametrize(
    "other",
    [
        TERMS.replace("third", "3rd"),
        TERMS.replace("someone", "Miller"),
        TERMS.replace("pays", "never pays"),
        TERMS.replace("keeps", "can't keeps"),
    ],
    ids=["number", "name", "negation", "contraction"],
)
def test_one_number_name_or_negation_makes_another_text(other: str) -> None:
    assert left(TERMS, other) == [TERMS, other]


def test_numbers_in_other_places_make_another_text() -> None:
    one, other = TERMS + " a costs 5 and b costs 6", TERMS + " a costs 6 and b costs 5"
    assert left(one, other) == [one, other]


@pytest.mark.parametrize(
    "texts", [("C", "C++"), ("a < 5", "a > 5"), ("कि", "की"), ("十分です", "不十分です"), ("No. 7", "No. 8"), ("yes", "no")]
)
def test_short_texts_are_compared_to_the_letter(texts: tuple[str, str]) -> None:
    assert left(*texts, *texts) == list(texts)


def test_half_of_a_text_is_another_text() -> None:
    half = TERMS[: len(TERMS) // 2]
    assert left(TERMS, half) == [TERMS, half]


def test_no_more_is_read_than_is_wanted() -> None:
    def endless():
        while True:
            yield Hit(ChunkId("c"), SourceId("s"), "", TERMS, 0, len(TERMS), 1.0, Ranks())

    assert [hit.text for hit in islice(distinct(endless()), 1)] == [TERMS]
