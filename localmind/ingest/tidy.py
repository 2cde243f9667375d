"""Upkeep that can wait: indexes compact themselves and the catalog's log is folded in while no document is worked on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from localmind.ingest.store import Store
from localmind.model import Job, SourceId, TenantId

LOOK_S = 2.0

ROWS = 10_000
"""Rows after which a tenant's index does not wait for a rest."""

AGAIN_S = 60.0
"""After which it comes again, for files that were in use before."""


class Tidy:
    def __init__(self, store: Store, *, is_resting: Callable[[], bool], settle: Callable[[], None] = lambda: None) -> None:
        """settle: sees to names that writes left undecided."""
        self._store, self._is_resting, self._settle = store, is_resting, settle
        self._rows: dict[TenantId, int] = {}
        self._tidied: dict[TenantId, float] = {}
        self._is_folded = False
        self._left: set[tuple[TenantId, SourceId]] = set()

    def left(self, jobs: Iterable[Job]) -> None:
        """Jobs that this worker lost: what it wrote for them last may have come after whoever has them cleared up."""
        self._left |= {(job.tenant, job.source_id) for job in jobs if job.source_id is not None}

    def changed(self, tenant: TenantId, rows: int) -> None:
        """So many rows were written, or sources removed."""
        self._rows[tenant] = self._rows.get(tenant, 0) + rows
        self._is_folded = False

    def run(self, stopping: threading.Event) -> None:
        """Until it is told to stop."""
        while not stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # what is left undone takes room or time, and is tried again
                structlog.get_logger(__name__).warning("tidy_failed", error_type=type(error).__name__, exc_info=error)

    def look(self) -> None:
        """Do what is due."""
        is_resting = self._is_resting()
        for tenant, rows in list(self._rows.items()):
            is_due = rows > 0 or time.monotonic() - self._tidied.get(tenant, 0.0) > AGAIN_S
            if rows >= ROWS or (is_resting and is_due):
                self._rows[tenant] = 0
                self._tidied[tenant] = time.monotonic()
                self._store.vectors.optimize(tenant)
        for tenant, source in list(self._left):
            if self._store.sweep_if_idle(tenant, source):
                self._left.discard((tenant, source))
        if is_resting and not self._is_folded:
            self._is_folded = True  # first: what is written meanwhile makes it false again
            if not self._store.catalog.database.fold():
                self._is_folded = False
        self._settle()
