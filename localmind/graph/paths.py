"""Shortest paths, searched from both ends at once. Pure: who asks says what lies next to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Adjacent = Callable[[Sequence[int]], Iterable[tuple[int, int]]]
"""Edges (from, to) of the nodes, the preferred first."""


def shortest_path(start: int, end: int, *, max_hops: int, adjacent: Adjacent) -> list[int] | None:
    """Nodes from start to end; None where no path of at most max_hops edges is found. Widens whichever side is narrower."""
    came_from: tuple[dict[int, int], dict[int, int]] = ({start: start}, {end: end})
    frontiers = [[start], [end]]
    if start == end:
        return [start]
    for _ in range(max_hops):
        side = 0 if len(frontiers[0]) <= len(frontiers[1]) else 1
        frontiers[side] = _widen(frontiers[side], came_from[side], adjacent)
        # Where the sides meet first they meet at the other's rim, so every meeting is on a path of the same length.
        met = next((node for node in frontiers[side] if node in came_from[1 - side]), None)
        if met is not None:
            return _trace(met, came_from[0])[::-1] + _trace(met, came_from[1])[1:]
        if not frontiers[side]:
            return None
    return None


def _widen(frontier: Sequence[int], came_from: dict[int, int], adjacent: Adjacent) -> list[int]:
    found: list[int] = []
    for node, other in adjacent(frontier):
        if other not in came_from:
            came_from[other] = node
            found.append(other)
    return found


def _trace(node: int, came_from: dict[int, int]) -> list[int]:
    trace = [node]
    while (node := came_from[trace[-1]]) != trace[-1]:
        trace.append(node)
    return trace
