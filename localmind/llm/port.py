"""The port of the language model, as chat and extraction use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from localmind.errors import ConfigurationError
from localmind.model import Usage


class Turn(NamedTuple):
    """role: system, user or assistant."""

    role: str
    content: str


class Completion(NamedTuple):
    text: str
    usage: Usage


class RequestRefused(ConfigurationError):
    """The server refuses this request: too long for the model, or against the provider's rules. Others may go through."""


class LLM(Protocol):
    """A chat model behind an API. Time-outs, retries with backoff and a circuit breaker are inside. Thread-safe.

    Calls raise LLMUnavailable (away, rate limit, time-out: worth a retry) or ConfigurationError (key, model name; RequestRefused
    where it may be this text alone).
    """

    @property
    def model(self) -> str: ...

    def complete(
        self, turns: Sequence[Turn], *, max_tokens: int, schema: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> Completion:
        """schema: a JSON schema that the answer should keep to, as the server is found to take one: as the answer's format, as a
        tool to call, or not at all. timeout_s: for an answer that somebody waits for; given, there is one attempt of that time.
        """

    def stream(self, turns: Sequence[Turn], *, max_tokens: int) -> Iterator[str | Usage]:
        """Pieces of the answer as they come, then one Usage. Closing the iterator ends the call."""

    def close(self) -> None: ...
