"""A store that is away: everybody waits a little longer each time, and nobody's job is blamed for it."""

from __future__ import annotations

import threading
import time

import structlog

from localmind.errors import StoreUnavailable

FIRST_WAIT_S = 0.5
MAX_WAIT_S = 15.0
"""A store that is back is found at the latest after this."""


class Outages:
    """Shared by the threads of one pipeline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wait_s = 0.0
        self._until = 0.0

    def met(self, error: StoreUnavailable) -> float:
        """A store was away; returns how many seconds to leave it alone. Several threads that meet one outage count as one."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._wait_s = min(MAX_WAIT_S, self._wait_s * 2 or FIRST_WAIT_S)
                self._until = time.monotonic() + self._wait_s
                log = structlog.get_logger(__name__)
                log.warning("store_unavailable", service=error.data.get("service"), message=error.message, wait_s=self._wait_s)
            return self._wait_s

    def over(self) -> None:
        """Work got through."""
        with self._lock:
            self._wait_s = self._until = 0.0

    @property
    def are_on(self) -> bool:
        return self._wait_s > 0

    @property
    def left_s(self) -> float:
        """Until it is time to try again."""
        return max(0.0, self._until - time.monotonic())
