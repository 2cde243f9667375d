"""The port of extraction: what entities and relations a chunk speaks of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from localmind.errors import LocalMindError
from localmind.llm.metering import Spent
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


class Asked(NamedTuple):
    """results: one a passage, in order; None where it was not asked, or not answered. stopped: what kept the rest from being asked."""

    results: list[ExtractionResult | None]
    spent: Spent
    stopped: LocalMindError | None = None


class PaidExtractor(Extractor, Protocol):
    """An extractor whose answers cost something: none that was paid for is lost when the model goes away in the middle."""

    def ask(self, passages: Sequence[Passage]) -> Asked:
        """As extract, but what went wrong for all of them (LLMUnavailable, ConfigurationError) comes beside the results so far."""

    def estimate(self, passages: Sequence[Passage], count: Callable[[str], int] = ...) -> Spent:
        """What asking is expected to cost. count: tokens of a text; without one an estimate that is rather too high."""
