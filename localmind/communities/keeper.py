"""Decides when communities are brought up to date: after documents came or went, once things have settled, never beside the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable

import structlog

from localmind.communities.upkeep import Upkeep
from localmind.errors import Cancelled
from localmind.model import TenantId

LOOK_S = 1.0

SETTLE_S = 3.0
"""How long a tenant's documents must have been left alone."""

MOST_WAIT_S = 600.0
"""A base into which documents come without end is looked at so often all the same."""

RETRY_S = 10.0
"""Between two tries where another process is at it, or a store is away."""

CLOSE_S = 5.0
"""How long a stop waits for the step under way; an LLM's answer may take minutes, and what it would have said is asked for again."""

SHARE = 10
"""An update that took a second is followed by no other for ten."""


class Keeper:
    """One thread. busy: tenants whose documents are worked on now. is_paused: whether nothing is to be begun."""

    def __init__(self, upkeep: Upkeep, *, busy: Callable[[], Collection[TenantId]], is_paused: Callable[[], bool] = lambda: False) -> None:
        self._upkeep, self._busy, self._is_paused = upkeep, busy, is_paused
        self._first: dict[TenantId, float] = {}
        self._last: dict[TenantId, float] = {}
        self._not_before: dict[TenantId, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, tenants: Iterable[TenantId] = ()) -> None:
        """tenants: those that another process, or this one before it was killed, may have left undone."""
        for tenant in tenants:
            self.changed(tenant)
        self._thread = threading.Thread(target=self._run, name="communities", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends after the step under way, or after CLOSE_S."""
        self._stopping.set()
        self._upkeep.stop()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            self._thread = None

    def changed(self, tenant: TenantId) -> None:
        """Something in its graph may be other than before."""
        now = time.monotonic()
        with self._lock:
            self._first.setdefault(tenant, now)
            self._last[tenant] = now

    def due(self, now: float) -> list[TenantId]:
        """Tenants to look at now, the longest waiting first."""
        with self._lock:
            settled = (
                tenant
                for tenant, first in self._first.items()
                if (now - self._last[tenant] >= SETTLE_S or now - first >= MOST_WAIT_S) and now >= self._not_before.get(tenant, 0.0)
            )
            return sorted(settled, key=lambda tenant: self._first[tenant])

    def look(self) -> None:
        """Do what is due."""
        for tenant in self._busy():
            self.changed(tenant)
        if self._is_paused():
            return
        for tenant in self.due(time.monotonic()):
            if self._stopping.is_set():
                return
            with self._lock:
                self._first.pop(tenant, None)  # first: what changes meanwhile is looked at again
            begun = time.monotonic()
            try:
                done = self._upkeep.update(tenant)
            except Cancelled:
                done = None
            except Exception as error:  # the thread's boundary: what is left undone is tried again
                structlog.get_logger(__name__).warning("communities_failed", error_type=type(error).__name__, exc_info=error)
                done = None
            if done is None:
                self.changed(tenant)
            now = time.monotonic()
            self._not_before[tenant] = now + (SHARE * (now - begun) if done is not None else RETRY_S)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self.look()
