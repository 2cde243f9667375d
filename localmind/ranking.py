"""The order of hits: the best first, and of equal scores the smaller id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from localmind.model import ScoredChunk


def ranked(hits: Iterable[ScoredChunk]) -> list[ScoredChunk]:
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))


def best(find: Callable[[int], Sequence[ScoredChunk]], limit: int, *, most: int | None = None) -> list[ScoredChunk]:
    """The `limit` best of an engine that leaves ties in no order. find: so many, the best first; most: what it gives at most.

    One more than asked for shows whether equal scores go on past the limit: then ids decide, and all of them are needed.
    """
    limit = limit if most is None else min(limit, most)
    wanted = limit + 1
    while True:
        wanted = wanted if most is None else min(wanted, most)
        found = find(wanted)
        if len(found) < wanted or wanted == most or found[limit - 1].score > found[-1].score:
            return ranked(found)[:limit]
        wanted *= 2
