"""Places for other sources: where one source fills the first places, a hit of another that is nearly as good goes before. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from localmind.model import Hit, SourceId

MOST = 4
NEARLY = 0.9
"""Hits of one source that nobody passes, and the share of a later one's score from which on a hit of another source is nearly as good.
With these page@5 fell in no mode; MOST of 2 or 3, or a NEARLY of 0.8, lost a question here and there (benchmarks/RETRIEVAL.md)."""


def diverse(hits: Iterable[Hit]) -> Iterator[Hit]:
    """All of them, best first, but those of a source that was given MOST times stand back as long as one of another source follows whose
    score is nearly theirs. Reads no further than to the first hit that is not."""
    given: Counter[SourceId] = Counter()
    held: list[Hit] = []
    for hit in hits:
        while held and not _is_near(hit, held[0]):
            yield held.pop(0)
        if given[hit.source_id] >= MOST:
            held.append(hit)
        else:
            given[hit.source_id] += 1
            yield hit
    yield from held


def _is_near(hit: Hit, better: Hit) -> bool:
    return hit.score >= better.score - (1 - NEARLY) * abs(better.score)
