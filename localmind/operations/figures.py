"""What is read when Prometheus asks: the services' health, the queue, the stores' sizes, usage, and when what was last done.

Every backend tells the same, since it stands in the catalog: take the highest of several, never their sum. What can't be read now, because
the catalog is away or slow, is left out, so that /metrics still tells the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from localmind.errors import LocalMindError
from localmind.operations import marks
from localmind.operations.probes import WORKER_SILENT_S

if TYPE_CHECKING:
    from localmind.catalog.catalog import Catalog

QUEUE = "ingestion"
"""The one queue that the jobs table is; Redis holds no work."""

RANKS = 10
"""Tenants whose usage is told, by rank: their number bounds the series, and who they are is nobody's business here (docs/adr/0021)."""

FRESH_S = 1.0
"""Whoever asks more often gets the same answer again: /metrics is open, and must not be a way to keep the catalog busy."""

SLOW_S, SHARE = 60.0, 100
"""What reads whole indexes is read again after so long, or after so many times what it took."""

CERTIFICATES_S = 600.0

log = structlog.get_logger(__name__)

Count = Callable[[], int]


class Told(Collector):
    """Metrics that were found already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterator[Metric]:
        return iter(self._found)


class Figures:
    """Thread-safe. workers: how many are alive, where the catalog does not know (one process that works its jobs off by itself).

    expiries: of certificates.
    """

    def __init__(
        self,
        catalog: Catalog,
        data_dir: Path,
        *,
        workers: Count | None,
        expiries: Callable[[], Iterable[Metric]] = lambda: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._data_dir, self._workers, self._clock = catalog, data_dir, workers, clock
        self._quick = _Kept(self._read_quick, clock)
        self._slow = _Kept(self._read_slow, clock)
        self._certificates = _Kept(lambda: list(expiries()), clock)

    def collector(self) -> Told:
        slow_s = max(SLOW_S, SHARE * self._slow.took_s)
        return Told([*self._quick.newer_than(FRESH_S), *self._slow.newer_than(slow_s), *self._certificates.newer_than(CERTIFICATES_S)])

    def _read_quick(self) -> list[Metric]:
        catalog = self._catalog
        jobs = GaugeMetricFamily("jobs", "Jobs by state.", labels=["status"])
        for status, count in catalog.jobs.counts().items():
            jobs.add_metric([status], count)
        depth = GaugeMetricFamily("queue_depth", "Jobs that wait.", labels=["queue", "kind"])
        oldest = GaugeMetricFamily("queue_oldest_age_seconds", "How long the oldest job that waits has done so.", labels=["queue", "kind"])
        queues = catalog.figures.queues()
        for kind in {"ingest", "delete", *queues}:
            depth.add_metric([QUEUE, kind], queues[kind].depth if kind in queues else 0)
            oldest.add_metric([QUEUE, kind], queues[kind].oldest_s if kind in queues else 0)
        workers = GaugeMetricFamily("workers", "Worker processes that are alive.", labels=["queue"])
        workers.add_metric([QUEUE], self._workers() if self._workers is not None else _alive(catalog))
        return [jobs, depth, oldest, workers, *_deeds(catalog)]

    def _read_slow(self) -> list[Metric]:
        catalog, today = self._catalog, datetime.now(UTC).date().isoformat()
        counts = catalog.figures.items()
        stored = GaugeMetricFamily("stored_items", "What is stored: tenants (where there are logins), sources, chunks.", labels=["kind"])
        for kind in ("tenants", "sources", "chunks"):
            stored.add_metric([kind], counts[kind])
        size = GaugeMetricFamily("store_bytes", "Room that a store takes; files: as they were accepted.", labels=["store"])
        for store, taken in self._sizes(counts["file_bytes"]).items():
            size.add_metric([store], taken)
        used = GaugeMetricFamily("usage_today", "What was used since midnight UTC, all tenants together.", labels=["kind"])
        for kind, amount in catalog.figures.usage(today).items():
            used.add_metric([kind], amount)
        most = GaugeMetricFamily("usage_today_by_rank", "What the tenant used that used most, second most, ...", labels=["kind", "rank"])
        for kind, rank, amount in catalog.figures.most_usage(today, limit=RANKS):
            most.add_metric([kind, str(rank)], amount)
        return [stored, size, used, most]

    def _sizes(self, file_bytes: int) -> dict[str, int]:
        """Milvus, Neo4j and S3 tell their own."""
        sizes = {name: size_of(self._data_dir, name) for name in ("catalog", "vectors")}
        database = self._catalog.figures.size_bytes()
        sizes |= {"files": file_bytes} | ({} if database is None else {"catalog": database})
        return {name: size for name, size in sizes.items() if size or name == "files"}


def services(report: Mapping[str, bool], *, ready: bool) -> Told:
    """What /health says. Of a service that nobody has asked yet nothing is said."""
    is_ready = GaugeMetricFamily("backend_is_ready", "1 when it takes requests.", float(ready))
    each = GaugeMetricFamily("service_is_healthy", "1 when it answers; the names are those of /health.", labels=["service"])
    for name, well in report.items():
        each.add_metric([name], float(well))
    told: list[Metric] = [is_ready, each]
    for metric, names in (("neo4j_is_healthy", ("neo4j", "graph")), ("milvus_is_healthy", ("milvus", "vectors"))):
        text = f"1 when {' or '.join(names)} answers: the server, or what stands in its place."
        told += [GaugeMetricFamily(metric, text, float(report[name])) for name in names if name in report]
    return Told(told)


def size_of(folder: Path, name: str) -> int:
    """Bytes of the files and folders in it whose name begins so."""
    found = (file for entry in folder.glob(f"{name}*") for file in ([entry] if entry.is_file() else entry.rglob("*")))
    total = 0
    for file in found:
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:  # compaction goes on meanwhile
            continue
    return total


def _alive(catalog: Catalog) -> int:
    return sum(bool(each.queues) for each in catalog.workers.alive(within_s=WORKER_SILENT_S))


def _deeds(catalog: Catalog) -> Iterator[Metric]:
    """Times in seconds since 1970; 0: never."""
    backup, drill = (marks.last(catalog, deed) for deed in (marks.Deed.BACKUP, marks.Deed.RESTORE_DRILL))
    yield GaugeMetricFamily("backup_last_success_timestamp_seconds", "When a backup was last marked as made; 0: never.", backup)
    yield GaugeMetricFamily("restore_drill_last_success_timestamp_seconds", "When a restore was last tried out; 0: never.", drill)
    reconciled = marks.last_reconciled(catalog)
    if reconciled is not None:
        yield GaugeMetricFamily("reconcile_last_run_timestamp_seconds", "When the stores were last compared.", reconciled.at)
        left = GaugeMetricFamily("reconcile_findings", "Differences that the last comparison left as they are.", labels=["store"])
        for store, count in reconciled.left.items():
            left.add_metric([store], count)
        yield left


class _Kept:
    """The last answer of a question that costs something."""

    def __init__(self, read: Callable[[], list[Metric]], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._found: list[Metric] = []
        self._read_at = float("-inf")
        self.took_s = 0.0

    def newer_than(self, age_s: float) -> list[Metric]:
        """[] where it can't be read. One asks, others wait for its answer."""
        with self._lock:
            if self._clock() - self._read_at > age_s:
                began = self._clock()
                try:
                    self._found = self._read()
                except LocalMindError as error:
                    log.warning("figures_not_read", error_type=error.error_type)
                    self._found = []
                self._read_at = self._clock()
                self.took_s = self._read_at - began
            return self._found
