from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.model import ChunkId, Hit, Ranks, SourceId
from localmind.retrieval.diversity import MOST, NEARLY, diverse


def hit(source: str, score: float) -> Hit:
    return Hit(ChunkId(f"{source}{score}"), SourceId(source), "", "", 0, 0, score, Ranks())


def order(*scored: tuple[str, float]) -> list[tuple[str, float]]:
    return [(one.source_id, one.score) for one in diverse(hit(*one) for one in scored)]


ONE_SOURCE = [("a", 1.0 - n / 100) for n in range(MOST + 2)]


def test_another_source_that_is_nearly_as_good_goes_before_what_is_too_many() -> None:
    near = ("b", ONE_SOURCE[-1][1] * NEARLY + 0.01)
    assert order(*ONE_SOURCE, near) == [*ONE_SOURCE[:MOST], near, *ONE_SOURCE[MOST:]]


def test_another_source_that_is_worse_stays_behind() -> None:
    assert order(*ONE_SOURCE, ("b", 0.8), ("a", 0.79)) == [*ONE_SOURCE, ("b", 0.8), ("a", 0.79)]


def test_the_first_of_a_source_are_not_passed() -> None:
    assert order(*ONE_SOURCE[:MOST], ("b", ONE_SOURCE[MOST][1])) == [*ONE_SOURCE[:MOST], ("b", ONE_SOURCE[MOST][1])]


def test_negative_scores_are_near_by_their_size() -> None:
    low = [("a", -1.0 - n / 1000) for n in range(MOST + 1)]
    assert order(*low, ("b", -1.05), ("c", -2.0)) == [*low[:MOST], ("b", -1.05), low[MOST], ("c", -2.0)]


def test_no_more_is_read_than_is_needed() -> None:
    def coming() -> Iterator[Hit]:
        yield from (hit(*one) for one in [*ONE_SOURCE, ("b", 0.1)])
        pytest.fail("read on")

    assert len(list(islice(diverse(coming()), len(ONE_SOURCE)))) == len(ONE_SOURCE)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 5))).map(lambda some: sorted(some, key=lambda one: -one[1])))
def test_nothing_is_lost_and_each_source_keeps_its_order(scored: list[tuple[str, float]]) -> None:
    ordered = order(*scored)
    for source in "abc":
        assert [one for one in ordered if one[0] == source] == [one for one in scored if one[0] == source]
    if len({source for source, _ in scored}) == 1:
        assert ordered == scored
