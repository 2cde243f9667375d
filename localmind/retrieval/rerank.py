"""Reading the best hits again, each beside the query: slower than an index and more exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from localmind.chunking import embedding_text
from localmind.model import Hit


class Reranker(Protocol):
    """Thread-safe."""

    def open(self) -> None:
        """Load the model. Raises MissingExtra, ConfigurationError. Safe to call twice."""

    def close(self) -> None: ...

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A finite score for each text, in their order; higher: it answers the query better. Raises Unavailable."""


def reranked(query: str, hits: Sequence[Hit], reranker: Reranker) -> list[Hit]:
    """The hits by the reranker's scores, which they take over; equal ones stay as they were. Raises Unavailable."""
    scores = reranker.rerank(query, [embedding_text(hit.title, hit.heading, hit.text) for hit in hits]) if hits else ()
    scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)
