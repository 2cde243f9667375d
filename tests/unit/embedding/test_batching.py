from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from localmind.embedding.batching import pad, plan

LENGTHS = st.lists(st.integers(2, 256), min_size=1, max_size=100)


@given(LENGTHS, st.integers(16, 2048), st.integers(1, 8))
def test_every_text_is_in_one_batch_and_no_batch_of_several_is_over_the_budget(lengths: list[int], budget: int, streams: int) -> None:
    batches = plan(lengths, budget=budget, streams=streams)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget for batch in batches)


def test_neighbours_in_length_share_a_batch_and_the_longest_go_first() -> None:
    assert plan([10, 100, 12, 98], budget=200, streams=1) == [[1, 3], [2, 0]]


def test_few_texts_are_spread_over_the_streams() -> None:
    assert plan([10, 10], budget=512, streams=2) == [[0], [1]]


def test_no_texts_make_no_batch() -> None:
    assert plan([], budget=512, streams=2) == []


def test_padding_is_masked_and_lengths_are_rounded_up() -> None:
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])], to=4)
    assert ids.tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
