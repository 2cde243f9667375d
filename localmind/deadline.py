"""When the request that this code works for has to be answered. A thread can't be stopped from outside: it looks here by itself.

The catalog looks before each read and each transaction, so that a verb whose caller has gone ends at its next step, as any step may end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from localmind.errors import TimedOut

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """For this context, and the threads that are given it."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def lift() -> None:
    """What this context does from now on is for nobody who waits."""
    _ends_at.set(None)


@contextmanager
def lifted() -> Iterator[None]:
    """For what has to be written down whoever waits for it."""
    token = _ends_at.set(None)
    try:
        yield
    finally:
        _ends_at.reset(token)


def check() -> None:
    """Raises TimedOut where the time is over; outside of a request never."""
    ends_at = _ends_at.get()
    if ends_at is not None and time.monotonic() > ends_at:
        raise too_late()


def too_late() -> TimedOut:
    return TimedOut("The request took longer than it may.", hint="Ask for less at once, or raise REQUEST_TIMEOUT_S.")
