"""Leiden's communities over int arrays."""

from __future__ import annotations

import numpy as np
import pytest

from localmind.communities.clustering import LEAST_MEMBERS, SPLIT_ABOVE, Network, association, communities, groups_of, network, within


def cliques(sizes: list[int], *, bridges: bool = True) -> Network:
    """Fully connected groups in a row, each tied to the next by one weak edge."""
    sources, targets, weights = [], [], []
    begin = 0
    for size in sizes:
        for one in range(begin, begin + size):
            for other in range(one + 1, begin + size):
                sources.append(one)
                targets.append(other)
                weights.append(1.0)
        if bridges and begin + size < sum(sizes):
            sources.append(begin + size - 1)
            targets.append(begin + size)
            weights.append(0.1)
        begin += size
    return network(begin, np.array(sources, np.int64), np.array(targets, np.int64), np.array(weights))


def test_groups_that_hang_together_are_found() -> None:
    found = [group.tolist() for group in groups_of(cliques([5, 4, 6]))]

    assert found == [[9, 10, 11, 12, 13, 14], [0, 1, 2, 3, 4], [5, 6, 7, 8]]


def test_parallel_edges_are_summed_and_loops_are_none() -> None:
    made = network(3, np.array([0, 1, 0, 2]), np.array([1, 0, 2, 2]), np.array([1.0, 2.0, 4.0, 9.0]))

    assert made.pointers.tolist() == [0, 2, 3, 4]
    assert made.neighbors.tolist() == [1, 2, 0, 0]
    assert made.weights.tolist() == [3.0, 4.0, 3.0, 4.0]


def test_the_network_within_some_nodes_has_their_edges_alone() -> None:
    part = within(cliques([4, 4]), np.array([1, 3, 4, 6]))

    assert part.pointers.tolist() == [0, 1, 3, 5, 6]
    assert part.neighbors.tolist() == [1, 0, 2, 1, 3, 2]
    assert part.weights.tolist() == [1.0, 1.0, 0.1, 0.1, 1.0, 1.0]


def test_the_same_network_gives_the_same_communities() -> None:
    rng = np.random.default_rng(3)
    sources, targets = rng.integers(0, 300, 2_000), rng.integers(0, 300, 2_000)
    made = [communities(network(300, sources, targets, np.ones(2_000))) for _ in range(2)]

    assert [(g.level, g.parent, g.members.tolist()) for g in made[0]] == [(g.level, g.parent, g.members.tolist()) for g in made[1]]


def test_a_large_community_is_split_into_finer_ones_that_lie_in_it() -> None:
    """Twelve cliques in a ring of a strong tie, far from another group."""
    parts = [12] * 12
    sources, targets, weights = [], [], []
    for part, size in enumerate(parts):
        nodes = range(part * size, part * size + size)
        for one in nodes:
            for other in nodes:
                if one < other:
                    sources.append(one)
                    targets.append(other)
                    weights.append(1.0)
    made = communities(network(144, np.array(sources), np.array(targets), np.array(weights)))
    assert {group.level for group in made} == {0}  # nothing to split: no clique is above SPLIT_ABOVE

    rng = np.random.default_rng(0)
    for one in range(144):  # all tied to all, weakly: one community with cliques inside
        for other in rng.integers(0, 144, 40).tolist():
            sources.append(one)
            targets.append(other)
            weights.append(0.6)
    whole = communities(network(144, np.array(sources), np.array(targets), np.array(weights)))
    for place, group in enumerate(whole):
        assert group.parent < place
        if group.level:
            parent = whole[group.parent]
            assert parent.level == group.level - 1
            assert len(parent.members) > SPLIT_ABOVE
            assert set(group.members.tolist()) < set(parent.members.tolist())


def test_what_is_named_everywhere_does_not_glue_communities_together() -> None:
    """Node 0 is tied to all of three cliques, as strongly as they are within."""
    base = cliques([6, 6, 6], bridges=False)
    rows = np.repeat(np.arange(18), np.diff(base.pointers))
    once = rows < base.neighbors
    sources = np.concatenate((rows[once] + 1, np.zeros(18, np.int64)))
    targets = np.concatenate((base.neighbors[once].astype(np.int64) + 1, np.arange(1, 19)))
    mentions = np.array([400] + [4] * 18)
    weights = association(np.full(len(sources), 3.0), mentions[sources], mentions[targets])

    found = [set(group.tolist()) - {0} for group in groups_of(network(19, sources, targets, weights))]

    assert sorted(map(sorted, found)) == [list(range(1, 7)), list(range(7, 13)), list(range(13, 19))]


@pytest.mark.parametrize("size", [1, LEAST_MEMBERS - 1])
def test_a_few_nodes_are_no_community(size: int) -> None:
    assert [len(group.members) for group in communities(cliques([size, 5], bridges=False))] == [5]


def test_a_network_without_edges_has_none() -> None:
    assert communities(network(4, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))) == []
    assert communities(network(0, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))) == []
