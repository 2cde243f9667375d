"""Where a walk begins."""

from __future__ import annotations

import pytest

from localmind.model import ChunkId, ScoredChunk
from localmind.retrieval.near import TEXT_SHARPNESS, near


def scored(**scores: float) -> list[ScoredChunk]:
    return [ScoredChunk(ChunkId(id_), score) for id_, score in scores.items()]


def test_both_lists_count_alike_and_the_shares_add_up() -> None:
    shares = near({"vector": scored(a=0.9, b=0.1), "text": scored(c=12.0, a=1.0)})
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[ChunkId("c")] == pytest.approx(0.5, abs=0.01)
    assert shares[ChunkId("a")] > shares[ChunkId("b")] > 0


def test_a_list_that_is_empty_or_away_leaves_all_to_the_other() -> None:
    assert near({"vector": scored(a=0.5), "text": []}) == near({"vector": scored(a=0.5)}) == {ChunkId("a"): 1.0}
    assert near({}) == near({"vector": [], "text": []}) == {}


def test_the_scale_of_an_engines_text_scores_makes_no_difference() -> None:
    assert near({"text": scored(a=10.0, b=5.0)}) == pytest.approx(near({"text": scored(a=0.1, b=0.05)}))
    assert near({"text": scored(a=0.0, b=0.0)}) == {ChunkId("a"): 0.5, ChunkId("b"): 0.5}


def test_scores_below_zero_keep_their_order() -> None:
    shares = near({"text": scored(a=-1.0, b=-1.0 - 1 / TEXT_SHARPNESS)})
    assert shares[ChunkId("a")] / shares[ChunkId("b")] == pytest.approx(2.71828, rel=1e-4)
