"""When the names that documents brought or took along are seen to: right after a write or a delete, and at a rest."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from localmind.ingest.resolution import Resolution
from localmind.model import TenantId


class Settling:
    def __init__(self) -> None:
        self.resolution: Resolution | None = None
        self._replaced: set[TenantId] = set()

    def after(self, tenants: Iterable[TenantId], *, taken_back: bool = False) -> None:
        """Documents of these came, or went. What fails stays marked for a rest."""
        if self.resolution is None:
            return
        for tenant in tenants:
            try:
                if taken_back:
                    self.resolution.taken_back(tenant)
                else:
                    self.resolution.settle(tenant)
            except Exception as error:  # the documents are there without it
                structlog.get_logger(__name__).warning("pipeline_fault", stage="resolve", error_type=type(error).__name__, exc_info=error)

    def replaced(self, tenant: TenantId) -> None:
        """An old version went: a rest is time enough to see what only that said."""
        self._replaced.add(tenant)

    def all(self) -> None:
        """At a rest: everything that is still marked."""
        if self.resolution is None:
            return
        while self._replaced:
            self.resolution.taken_back(self._replaced.pop())
        self.resolution.settle_all()
