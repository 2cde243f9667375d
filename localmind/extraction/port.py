"""The port of extraction: what entities and relations a chunk speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from localmind.model import Extraction


class Passage(NamedTuple):
    """What an extractor sees of a chunk. text stands verbatim in an LLM's user message."""

    title: str
    heading: str
    text: str


class ExtractionResult(NamedTuple):
    """problem: a sentence for the job where the passage was given up; extraction is then empty, or what a fallback found."""

    extraction: Extraction
    problem: str | None = None


class Extractor(Protocol):
    """Names in, names out: merging them over chunks is the graph's work. Thread-safe."""

    @property
    def version(self) -> str:
        """Model and prompt version: the cache's key beside the text's hash."""

    @property
    def costly(self) -> bool:
        """True where a result is worth caching (an LLM's)."""

    def extract(self, passages: Sequence[Passage]) -> list[ExtractionResult]:
        """One result a passage, in order; equal input gives equal output for an extractor that is not costly.

        One passage's failure is its `problem`. Raises LLMUnavailable where the LLM is away (worth a retry).
        """
