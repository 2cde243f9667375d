"""What a tenant used, by day: counted in memory, written every few seconds; money and documents are written where they are spent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from localmind.errors import InvalidInput, Unavailable
from localmind.limits.quotas import Quotas
from localmind.model import TenantId

if TYPE_CHECKING:
    from localmind.catalog.catalog import Catalog

FLUSH_S = 5.0
"""A kill loses the counts of so long."""

MOST_DAYS = 366
"""Of one report."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DayUsage:
    """A day (UTC) of a tenant, its spaces together. embedding_tokens: estimated from the chunks' texts, rather too high.

    requests: answered calls of the API. documents: accepted, new versions too. size_bytes: of these.
    """

    day: date
    requests: int = 0
    searches: int = 0
    chats: int = 0
    documents: int = 0
    size_bytes: int = 0
    chunks: int = 0
    embedding_tokens: int = 0
    llm_calls: int = 0
    llm_prompt_tokens: int = 0
    llm_completion_tokens: int = 0
    llm_cost: float = 0.0


COLUMNS = tuple(field.name for field in fields(DayUsage))


def _now() -> datetime:
    return datetime.now(UTC)


class UsageMeter:
    """Thread-safe. start() before use, close() after: it writes what is left."""

    def __init__(self, catalog: Catalog, quotas: Quotas, *, clock: Callable[[], datetime] = _now) -> None:
        self._catalog, self._quotas, self._clock = catalog, quotas, clock
        self._lock = threading.Lock()
        self._counts: Counter[tuple[TenantId, str, str]] = Counter()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, tenant: TenantId, **amounts: int) -> None:
        """Names as DayUsage has them. Costs a few microseconds, and never waits for the catalog."""
        day = self._today()
        with self._lock:
            for kind, amount in amounts.items():
                self._counts[tenant, day, kind] += amount

    def write(self, tenant: TenantId, **amounts: int) -> None:
        """Now, and inside write() with what is counted."""
        owner, day = self._quotas.tenant_of(tenant), self._today()
        self._catalog.usage.add({(owner, day, kind): amount for kind, amount in amounts.items()})

    def flush(self) -> None:
        """Write what was counted. Raises Unavailable, and keeps it then."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        try:
            by_tenant: Counter[tuple[TenantId, str, str]] = Counter()
            for (partition, day, kind), amount in counts.items():
                by_tenant[self._quotas.tenant_of(partition), day, kind] += amount
            self._catalog.usage.add(by_tenant)
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise

    def report(self, tenant: TenantId, first: date, last: date) -> list[DayUsage]:
        """Every day from first to last that has something, of the tenant that this is a space of. Raises InvalidInput."""
        if not timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
            raise InvalidInput(f"There are no {MOST_DAYS} days or fewer from {first} to {last}.", hint="Name an earlier and a later day.")
        self._flush_quietly()
        owner = self._quotas.tenant_of(tenant)
        counted = self._catalog.usage.by_day(owner, first.isoformat(), last.isoformat())
        bills = self._catalog.spending.by_day(owner, first.isoformat(), last.isoformat())
        days = []
        for day in sorted({*counted, *bills}):
            known = {kind: amount for kind, amount in counted.get(day, {}).items() if kind in COLUMNS}
            llm: dict[str, int | float] = {}
            if bill := bills.get(day):
                spent = bill.spent
                llm = {"llm_calls": spent.calls, "llm_prompt_tokens": spent.prompt_tokens, "llm_completion_tokens": spent.completion_tokens}
                llm |= {"llm_cost": bill.cost}
            days.append(DayUsage(date.fromisoformat(day), **known, **llm))  # type: ignore[arg-type]
        return days

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._loop, name="usage", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._flush_quietly()

    def _loop(self) -> None:
        while not self._stopping.wait(FLUSH_S):
            self._flush_quietly()

    def _flush_quietly(self) -> None:
        try:
            self.flush()
        except Unavailable as error:  # it is kept, and written with the next
            log.warning("usage_not_written", error_type=error.error_type)
        except Exception:  # the thread goes on: what is counted must not stop for one bad row
            log.exception("usage_not_written")

    def _today(self) -> str:
        return self._clock().date().isoformat()
