"""Shortest paths against a plain breadth-first search."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from localmind.graph.paths import shortest_path

nodes = st.integers(0, 11)
edges = st.sets(st.tuples(nodes, nodes).filter(lambda pair: pair[0] < pair[1]), max_size=20)


def distance(found: set[tuple[int, int]], start: int, end: int) -> int | None:
    reached, hops = {start}, 0
    while end not in reached:
        wider = reached | {b for a, b in found if a in reached} | {a for a, b in found if b in reached}
        if wider == reached:
            return None
        reached, hops = wider, hops + 1
    return hops


@given(edges, nodes, nodes, st.integers(0, 8))
def test_a_path_is_there_exactly_when_one_is_short_enough_and_is_as_short_as_any(
    found: set[tuple[int, int]], start: int, end: int, max_hops: int
) -> None:
    both_ways = found | {(b, a) for a, b in found}

    def adjacent(frontier: Sequence[int]) -> list[tuple[int, int]]:
        return [edge for edge in sorted(both_ways) if edge[0] in frontier]

    path = shortest_path(start, end, max_hops=max_hops, adjacent=adjacent)
    hops = distance(found, start, end)
    if hops is None or hops > max_hops:
        assert path is None
    else:
        assert path is not None
        assert (path[0], path[-1], len(path) - 1) == (start, end, hops)
        assert all(step in both_ways for step in pairwise(path))
