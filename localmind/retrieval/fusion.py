"""Reciprocal rank fusion: several rankings of the same things become one. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from localmind.model import ChunkId, ScoredChunk
from localmind.ranking import ranked

RANK_CONSTANT = 10
"""k of Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.

They set 60, for rankings of a thousand documents. Of 50 chunks the first few matter: 10 finds more (benchmarks/RETRIEVAL.md).
"""


def fuse(
    rankings: Mapping[str, Sequence[ChunkId]], *, weights: Mapping[str, float] | None = None, rank_constant: int = RANK_CONSTANT
) -> list[ScoredChunk]:
    """Every chunk of the rankings once, best first, ties by chunk id.

    score = sum over the rankings that have the chunk of weight / (rank_constant + rank), ranks from 1. A ranking without a
    weight counts 1. A chunk that a ranking repeats counts at its first place.
    """
    parts: dict[ChunkId, list[float]] = {}
    for name, ranking in rankings.items():
        weight = 1.0 if weights is None else weights.get(name, 1.0)
        for rank, chunk_id in enumerate(dict.fromkeys(ranking), start=1):
            parts.setdefault(chunk_id, []).append(weight / (rank_constant + rank))
    # fsum: equal ranks in whichever lists are equal scores to the last bit.
    fused = [ScoredChunk(chunk_id, math.fsum(some)) for chunk_id, some in parts.items()]
    return ranked(fused)
