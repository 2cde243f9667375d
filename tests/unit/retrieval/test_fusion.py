"""Fusion by its properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.model import ChunkId
from localmind.retrieval.fusion import RANK_CONSTANT, fuse

rankings = st.dictionaries(
    st.sampled_from(("vector", "text", "graph")), st.lists(st.sampled_from([ChunkId(c) for c in "abcdefgh"]), unique=True), max_size=3
)


@given(rankings)
def test_every_chunk_stands_once_with_the_sum_of_its_reciprocal_ranks(lists: dict[str, list[ChunkId]]) -> None:
    fused = fuse(lists)
    expected: dict[str, float] = {}
    for ranking in lists.values():
        for place, chunk_id in enumerate(ranking):
            expected[chunk_id] = expected.get(chunk_id, 0) + 1 / (RANK_CONSTANT + place + 1)
    assert len(fused) == len(expected)
    assert {hit.chunk_id: hit.score for hit in fused} == pytest.approx(expected)


@given(rankings)
def test_the_best_come_first_and_ties_are_ordered_by_chunk_id(lists: dict[str, list[ChunkId]]) -> None:
    fused = fuse(lists)
    assert fused == sorted(fused, key=lambda hit: (-hit.score, hit.chunk_id))


@given(rankings)
def test_a_single_ranking_keeps_its_order(lists: dict[str, list[ChunkId]]) -> None:
    for name, ranking in lists.items():
        assert [hit.chunk_id for hit in fuse({name: ranking})] == ranking


@given(rankings)
def test_the_order_of_the_rankings_makes_no_difference(lists: dict[str, list[ChunkId]]) -> None:
    assert [hit.chunk_id for hit in fuse(dict(reversed(lists.items())))] == [hit.chunk_id for hit in fuse(lists)]


def test_a_weight_scales_a_ranking() -> None:
    a, b = ChunkId("a"), ChunkId("b")
    assert [hit.chunk_id for hit in fuse({"vector": [a], "text": [b]}, weights={"text": 2})] == [b, a]


def test_a_chunk_that_a_ranking_repeats_counts_at_its_first_place() -> None:
    a, b = ChunkId("a"), ChunkId("b")
    assert fuse({"text": [a, a, b]}) == fuse({"text": [a, b]})
