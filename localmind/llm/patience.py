"""Retries with backoff and a circuit breaker around the calls to one model server."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from localmind.errors import LLMUnavailable

T = TypeVar("T")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0  # a server that asks for more is away, as far as a person or a job that waits is concerned
FAILURES_TO_OPEN = 5
OPEN_S = 30.0


class RateLimited(LLMUnavailable):
    """The server asks for fewer calls. retry_after_s: when it says so. It is alive, so it does not open the circuit."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class Patience:
    """Repeats a call that failed with LLMUnavailable, with waits that grow; fails at once while the server is known to be away.

    After 5 failures in a row no call is made for 30 s; then one failure closes the door again, one answer opens it for all.
    clock and wait are seconds; jitter gives 0 to 1. Thread-safe.
    """

    def __init__(
        self,
        *,
        attempts: int,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._attempts = attempts
        self._clock = clock
        self._wait = wait
        self._jitter = jitter
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    def run(self, call: Callable[[], T], *, attempts: int | None = None) -> T:
        """attempts: instead of its own."""
        attempts = attempts or self._attempts
        for attempt in range(1, attempts + 1):
            self._check()
            try:
                result = call()
            except LLMUnavailable as error:
                self._failed(error)
                wait_s = self._wait_before_next(attempt, error)
                if attempt == attempts or wait_s > LONGEST_WAIT_S:
                    raise
                self._wait(wait_s)
            except Exception:
                self._answered()  # a refusal: somebody is there
                raise
            else:
                self._answered()
                return result
        raise AssertionError("attempts is at least 1")

    def _wait_before_next(self, attempt: int, error: LLMUnavailable) -> float:
        """What the server asked for, else a time that doubles, of which half is random so that threads don't come back together."""
        if isinstance(error, RateLimited) and error.retry_after_s is not None:
            return error.retry_after_s
        backoff_s: float = FIRST_WAIT_S * 2 ** (attempt - 1) * (0.5 + self._jitter() / 2)
        return min(LONGEST_WAIT_S, backoff_s)

    def _check(self) -> None:
        with self._lock:
            left_s = self._open_until - self._clock()
        if left_s > 0:
            raise LLMUnavailable(
                f"The LLM failed {FAILURES_TO_OPEN} times in a row and is left alone for now.",
                hint=f"It is tried again in {left_s:.0f} s. `localmind doctor` says what is wrong.",
                retry_after_s=left_s,
            )

    def _failed(self, error: LLMUnavailable) -> None:
        if isinstance(error, RateLimited):
            self._answered()
            return
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._open_until = self._clock() + OPEN_S

    def _answered(self) -> None:
        with self._lock:
            self._failures = 0
            self._open_until = 0.0
