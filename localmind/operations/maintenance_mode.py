"""Maintenance mode: reads go on, writes are refused, workers finish what they hold and take nothing new. Kept in the catalog for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from localmind.catalog.audit import Event
from localmind.catalog.catalog import Catalog
from localmind.errors import Unavailable, UnderMaintenance
from localmind.model import PERSONAL

SETTING = "maintenance"

SEEN_S = 3.0
"""How old what a process knows of it gets."""

RETRY_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class Notice:
    """That it is on. why: for people; may be empty."""

    since: datetime
    why: str


class MaintenanceMode:
    """Thread-safe. While the catalog is away, what was known last holds."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._notice: Notice | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether notice() answers without the catalog."""
        return self._clock() - self._asked_at <= SEEN_S

    def notice(self) -> Notice | None:
        """As of some seconds ago at most. None: it is off."""
        if not self.is_fresh:
            with self._lock:
                if not self.is_fresh:
                    self._ask()
        return self._notice

    def is_on(self) -> bool:
        return self.notice() is not None

    def require_off(self) -> None:
        """Raises UnderMaintenance."""
        notice = self.notice()
        if notice is not None:
            why = f": {notice.why}" if notice.why else ""
            raise UnderMaintenance(
                f"The service is under maintenance since {notice.since:%H:%M} (UTC){why}. Nothing can be changed.",
                hint="Reading and searching go on. Try again later.",
                retry_after_s=RETRY_AFTER_S,
            )

    def turn_on(self, why: str = "") -> None:
        """Seen by every process within SEEN_S. What is on stays as it is, with another reason."""
        with self._catalog.database.write():
            told = self._catalog.setting(SETTING)
            since = told["since"] if isinstance(told, dict) else time.time()
            self._catalog.set_setting(SETTING, {"since": since, "why": why})
            self._catalog.audit.record(Event.MAINTENANCE, PERSONAL, what="maintenance_on")
        self._asked_at = float("-inf")

    def turn_off(self) -> None:
        with self._catalog.database.write():
            self._catalog.set_setting(SETTING, None)
            self._catalog.audit.record(Event.MAINTENANCE, PERSONAL, what="maintenance_off")
        self._asked_at = float("-inf")

    def _ask(self) -> None:
        began = self._clock()
        try:
            told = self._catalog.setting(SETTING)
        except Unavailable:
            return
        self._notice = Notice(datetime.fromtimestamp(told["since"], UTC), str(told["why"])) if isinstance(told, dict) else None
        self._asked_at = began
