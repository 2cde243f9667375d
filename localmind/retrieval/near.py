"""Which chunks a query is near, by meaning and by words: where the walk over the graph begins. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from localmind.model import ChunkId, ScoredChunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

VECTOR_SHARPNESS = 30.0
TEXT_SHARPNESS = 16.0
"""A chunk counts e to the power of minus sharpness x its distance from the best: in cosine, and in shares of the best BM25.
Chosen on one half of two sets of questions and reported on the other: benchmarks/RETRIEVAL.md."""


def near(lists: Mapping[str, Sequence[ScoredChunk]]) -> dict[ChunkId, float]:
    """Of the lists "vector" and "text" those that are there, in equal parts; each chunk's share, together 1, {} where all are empty."""
    parts = [_shares(scored, name) for name, scored in lists.items() if scored]
    shares: dict[ChunkId, float] = {}
    for part in parts:
        for chunk_id, share in part.items():
            shares[chunk_id] = shares.get(chunk_id, 0.0) + share / len(parts)
    return shares


def _shares(scored: Sequence[ScoredChunk], name: str) -> dict[ChunkId, float]:
    scores: NDArray[np.float64] = np.array([hit.score for hit in scored], np.float64)
    best = scores.max()
    sharpness = VECTOR_SHARPNESS if name == "vector" else TEXT_SHARPNESS / max(abs(best), 1e-9)
    shares = np.exp(sharpness * (scores - best))
    return dict(zip((hit.chunk_id for hit in scored), (shares / shares.sum()).tolist(), strict=True))
