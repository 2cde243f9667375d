"""What a tenant lets go of in time: documents, conversations, audit events. Off until somebody sets it; applied once a day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

import structlog

from localmind.catalog.audit import Event
from localmind.catalog.catalog import Catalog
from localmind.catalog.retention import Rules
from localmind.errors import NotFound, Unavailable
from localmind.model import SourceId, TenantId

DAY_S = 86_400.0
LOOK_S = 600.0
SETTING = "daily"

log = structlog.get_logger("localmind.upkeep")


class Retention:
    def __init__(self, catalog: Catalog, delete: Callable[[TenantId, SourceId], object], *, now: Callable[[], float] = time.time) -> None:
        """delete: takes a document out of every store, by a job."""
        self._catalog, self._delete, self._now = catalog, delete, now

    def rules(self, tenant: TenantId) -> Rules:
        found = self._catalog.retention.get(tenant)
        return Rules() if found is None else found.rules

    def set(self, tenant: TenantId, rules: Rules) -> Rules:
        with self._catalog.database.write():
            self._catalog.retention.put(tenant, rules)
            self._catalog.audit.record(Event.MAINTENANCE, tenant, tenant=tenant, what="retention_set", **asdict(rules))
        return rules

    def apply(self) -> None:
        """For every tenant with rules. Cut off anywhere, the next day goes on."""
        for tenant, found in self._catalog.retention.all():
            rules, now = found.rules, self._now()
            gone = self._documents(tenant, "updated_at", rules.documents_days, now)
            if rules.unused_days is not None and now - found.changed_at >= rules.unused_days * DAY_S:
                gone += self._documents(tenant, "used_at", rules.unused_days, now)
            told = 0
            if rules.conversations_days is not None:
                told = self._catalog.retention.drop_conversations(tenant, before=now - rules.conversations_days * DAY_S)
            if gone or told:
                self._catalog.audit.record(Event.MAINTENANCE, tenant, tenant=tenant, what="retention", documents=gone, conversations=told)
            if rules.audit_days is not None:
                self._catalog.audit.trim(tenant, before=now - rules.audit_days * DAY_S)

    def _documents(self, tenant: TenantId, since: str, days: int | None, now: float) -> int:
        if days is None:
            return 0
        gone, last = 0, SourceId("")
        while found := self._catalog.retention.old_documents(tenant, since, before=now - days * DAY_S, after=last):
            for partition, last in found:
                with suppress(NotFound):  # somebody was faster
                    self._delete(partition, last)
                    gone += 1
        return gone


class Daily:
    """A thread of upkeep: once a day (UTC) in one process of a fleet, and every LOOK_S in each. Under maintenance it waits."""

    def __init__(
        self, catalog: Catalog, *, daily: list[Callable[[], None]], often: list[Callable[[], None]], is_paused: Callable[[], bool]
    ) -> None:
        """daily, often: safe to be cut off and run again; often: costs next to nothing where there is nothing to do."""
        self._catalog, self._daily, self._often, self._is_paused = catalog, daily, often, is_paused
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="daily", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Run what is due."""
        if self._is_paused():
            return
        for task in [*self._often, *(self._daily if self._is_first_of(datetime.now(UTC).date().isoformat()) else ())]:
            task()

    def _is_first_of(self, day: str) -> bool:
        """Whether no process looked on that day yet."""
        with self._catalog.database.write():
            self._catalog.database.hold(SETTING)
            if self._catalog.setting(SETTING) == day:
                return False
            self._catalog.set_setting(SETTING, day)
            return True

    def _loop(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look()
            except Unavailable as error:  # what is left is done tomorrow
                log.warning("upkeep_postponed", error_type=error.error_type)
            except Exception as error:  # the thread's boundary
                log.exception("upkeep_failed", error_type=type(error).__name__)
