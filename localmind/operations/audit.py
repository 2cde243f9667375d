"""Writes down what is done without making anybody wait: searches and questions go through a queue, in batches."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

import structlog

from localmind.catalog.audit import Event, Note, note
from localmind.catalog.catalog import Catalog
from localmind.errors import Unavailable
from localmind.model import PERSONAL, SourceId, TenantId

FLUSH_S = 0.5
"""What was asked in this time before a kill is not written down."""

BATCH = 500

MOST_WAITING = 20_000
"""Events that wait while the catalog is away; of more, only their number is written down."""

RETRY_S = 2.0

Queries = Literal["plain", "hashed", "off"]

log = structlog.get_logger("localmind.audit")


class Audit:
    """Thread-safe. queries: whether what people ask is kept, kept as a hash under a secret of theirs, or not at all."""

    def __init__(self, catalog: Catalog, *, queries: Queries) -> None:
        self.table, self._retention = catalog.audit, catalog.retention
        self._queries = queries
        self._waiting: deque[Note] = deque()
        self._lost = 0
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._some = threading.Event()
        self._thread: threading.Thread | None = None

    def searched(self, space: TenantId, query: str, *, mode: str, hits: int, sources: Sequence[SourceId] = ()) -> None:
        """sources: of the hits."""
        ids = list(dict.fromkeys(sources))
        self._asked(Event.SEARCH_PERFORMED, space, query, mode=mode, hits=hits, sources=ids)

    def chatted(self, space: TenantId, message: str, conversation_id: str, sources: Sequence[SourceId] = ()) -> None:
        """sources: that the answer cites."""
        self._asked(Event.CHAT, space, message, conversation=conversation_id, sources=list(dict.fromkeys(sources)))

    def maintained(self, what: str, **details: Any) -> None:
        """Somebody looks after the service as a whole. Written at once."""
        self.table.record(Event.MAINTENANCE, PERSONAL, what=what, **details)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What waits is written, if the catalog is there."""
        self._stopping.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._written()

    def flush(self) -> None:
        """What this process noted so far can be read. Raises Unavailable."""
        with self._writing:
            while self._waiting:
                batch = list(islice(self._waiting, BATCH))
                self.table.append(batch)
                self._mark_used(batch)
                for _ in batch:
                    self._waiting.popleft()
            if self._lost:
                self.table.append([note(Event.MAINTENANCE, PERSONAL, what="audit_lost", events=self._lost)])
                self._lost = 0

    def _mark_used(self, batch: Sequence[Note]) -> None:
        used: dict[TenantId, set[SourceId]] = defaultdict(set)
        for one in batch:
            used[one.space].update(one.details.get("sources", ()))
        for space, ids in used.items():
            if ids:
                self._retention.used(space, ids)

    def _asked(self, event: Event, space: TenantId, query: str, **details: Any) -> None:
        plain = {"query": query} if self._queries == "plain" else None
        hashed = {"query": query} if self._queries == "hashed" else None
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(note(event, space, personal=plain, secret=hashed, **details))
        self._some.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            self._stopping.wait(FLUSH_S)
            self._some.clear()
            if not self._written():
                self._stopping.wait(RETRY_S)
                self._some.set()

    def _written(self) -> bool:
        try:
            self.flush()
        except Unavailable as error:
            log.warning("audit_waits", events=len(self._waiting), error_type=error.error_type)
            return False
        except Exception as error:  # the thread's boundary: what can't be written stays, and the log says why
            log.exception("audit_failed", error_type=type(error).__name__)
            return False
        return True
