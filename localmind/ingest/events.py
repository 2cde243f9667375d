"""Tells waiting threads that a job changed, so that nobody has to poll fast."""

from __future__ import annotations

import threading


class Changes:
    """A counter that threads can wait for. One process's changes; other processes' are found by looking again now and then."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        with self._condition:
            return self._count

    def announce(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Until the count is past `seen` or the time is over; returns the count."""
        with self._condition:
            self._condition.wait_for(lambda: self._count > seen, timeout_s)
            return self._count
