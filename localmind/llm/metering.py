"""What calls of a model cost: tokens as the server counts them, money by the prices of the settings. Pure but for the meter."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from localmind.llm.port import Completion, Turn
from localmind.llm.tokens import estimated_tokens
from localmind.model import Usage


class Spent(NamedTuple):
    """Calls that were answered, and their tokens."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: Spent) -> Spent:
        return Spent(*(one + two for one, two in zip(self, other, strict=True)))


class Prices(NamedTuple):
    """Of a million tokens, in whatever currency the settings mean."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, spent: Spent) -> float:
        return (spent.prompt_tokens * self.prompt + spent.completion_tokens * self.completion) / 1_000_000


class Meter:
    """Adds up. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent = Spent()

    def add(self, turns: Sequence[Turn], completion: Completion) -> None:
        """A server that does not count its tokens is not free: they are estimated then, rather too high."""
        usage = completion.usage
        if usage == Usage():
            usage = Usage(sum(estimated_tokens(turn.content) for turn in turns), estimated_tokens(completion.text))
        with self._lock:
            self._spent = self._spent.plus(Spent(1, usage.prompt_tokens, usage.completion_tokens))

    @property
    def spent(self) -> Spent:
        with self._lock:
            return self._spent
