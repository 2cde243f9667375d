"""Which names may be spellings of one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.graph.likeness import BLOCK_CHARS, Likeness, Named, block_of, compare
from localmind.graph.naming import entity_key

SAME = [
    ("Acme Widgets", "Acme Widgets Inc.", "organisation"),
    ("Acme Widgets Corp", "Acme Widgets Incorporated", "organisation"),
    ("IBM", "IBM Corporation", "name"),
    ("Müller Werke", "Müller Werke GmbH", "organisation"),
    ("Tobias Müller", "Tobias Mueller", "name"),
    ("Smith, Jonathan", "Jonathan Smith", "person"),
    ("Dr. Jane Roe", "Jane Roe", "person"),
    ("Red Hat", "RedHat", "technology"),
    ("time zone", "timezone", "concept"),
    ("colour spaces", "color space", "concept"),
    ("operating systems concept", "operating system concept", "concept"),
    ("Elisabeth Richeza of Poland", "Elizabeth Richeza of Poland", "person"),
    ("Unicode Consortium", "Unicode Consoritum", "organisation"),
    ("Univ. Bergen", "University Bergen", "organisation"),
]
OPEN = [
    ("HTTP server", "HTTPS server", "technology"),
    ("Walt Disney", "Walt Disney Company", "name"),
    ("Jackson", "Jackson Inc", "name"),
    ("Georgetown", "George Town", "place"),
    ("Henry Morgan", "Sir Henry Morgan", "person"),
    ("Kubernetes", "Kubernets", "technology"),
    ("get_source", "getSource", "technology"),
    ("Marc Lawrence", "Mark Lawrence", "name"),
    ("Cristina Rodríguez", "Cristian Rodríguez", "name"),
]
DIFFERENT = [
    ("Paris", "Paris, Texas", "place"),
    ("Python 2", "Python 3", "technology"),
    ("Budget 2023", "Budget 2024", "document"),
    ("Henry IV", "Henry V", "person"),
    ("George W. Bush", "George H. W. Bush", "person"),
    ("J. Smith", "K. Smith", "person"),
    ("Martin Luther King Jr.", "Martin Luther King", "person"),
    ("Acme Ltd", "Acme GmbH", "organisation"),
    ("York University", "University of York", "organisation"),
    ("C++", "C#", "technology"),
    ("Americans", "American company", "concept"),
    ("Navy Nurse", "Navy Nurse Corps", "name"),
    ("v1.2", "v1.3", "technology"),
]


def named(name: str, kind: str = "name") -> Named:
    return Named(entity_key(name), name, kind)


@pytest.mark.parametrize(
    ("one", "other", "kind", "likeness"),
    [
        *((*row, Likeness.SAME) for row in SAME),
        *((*row, Likeness.MAYBE) for row in OPEN),
        *((*row, Likeness.DIFFERENT) for row in DIFFERENT),
    ],
)
def test_names_are_told_apart(one: str, other: str, kind: str, likeness: Likeness) -> None:
    if likeness is not Likeness.MAYBE:
        assert compare(named(one, kind), named(other, kind)) is likeness
    else:
        assert compare(named(one, kind), named(other, kind)) < Likeness.SAME


@pytest.mark.parametrize(("one", "other"), [row[:2] for row in SAME])
def test_what_is_the_same_shares_a_block(one: str, other: str) -> None:
    assert block_of(entity_key(one)) == block_of(entity_key(other)) != ""


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["name", "concept", "person", "organisation"]))
def test_any_two_names_compare_the_same_both_ways(one: str, other: str, kind: str) -> None:
    first, second = named(one, kind), named(other, kind)
    if first.key and second.key and first.key != second.key:
        assert compare(first, second) is compare(second, first)
    assert len(block_of(first.key)) <= BLOCK_CHARS


def test_a_name_of_many_characters_is_like_nothing() -> None:
    assert block_of("x" * 10_000) == ""
    assert compare(named("x" * 10_000), named("x" * 9_999)) is Likeness.DIFFERENT
