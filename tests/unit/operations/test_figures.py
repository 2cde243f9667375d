"""What /metrics reads from the catalog when it is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.migrate import migrate
from localmind.errors import InvalidInput, StoreUnavailable
from localmind.model import JobStatus, SourceId, TenantId
from localmind.operations import figures, marks
from localmind.operations.figures import Figures, Told

TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    database = Database(sqlite_url(tmp_path / "catalog.db"))
    migrate(database)
    yield Catalog(database)
    database.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def read(catalog: Catalog, tmp_path: Path, clock: Clock) -> Figures:
    return Figures(catalog, tmp_path, workers=lambda: 1, clock=clock)


def samples(told: Told) -> dict[str, float]:
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for metric in told.collect()
        for sample in metric.samples
    }


def test_the_queue_is_its_depth_and_the_age_of_its_oldest(catalog: Catalog, read: Figures) -> None:
    catalog.jobs.add(TenantId("a"), [("ingest", SourceId("s1"), 1, 10), ("ingest", SourceId("s2"), 1, 10)])
    catalog.jobs.add(TenantId("b"), [("ingest", SourceId("s3"), 1, 10)])
    taken = catalog.jobs.claim("w", limit=1, lease_s=30)[0]
    catalog.jobs.finish([taken.job], JobStatus.SUCCEEDED)
    time.sleep(0.05)  # the age is the database's clock
    told = samples(read.collector())
    assert told["queue_depth kind=ingest queue=ingestion"] == 2
    assert told["queue_depth kind=delete queue=ingestion"] == told["queue_oldest_age_seconds kind=delete queue=ingestion"] == 0
    assert 0.05 <= told["queue_oldest_age_seconds kind=ingest queue=ingestion"] < 30
    assert told["jobs status=queued"] == 2 and told["jobs status=succeeded"] == 1
    assert told["workers queue=ingestion"] == 1


def test_a_fleets_workers_are_those_that_the_catalog_saw(catalog: Catalog, tmp_path: Path) -> None:
    catalog.workers.beat("worker", queues=["ingestion"])
    catalog.workers.beat("backend", queues=[])
    told = samples(Figures(catalog, tmp_path, workers=None).collector())
    assert told["workers queue=ingestion"] == 1


def test_usage_is_told_by_rank_and_names_no_tenant(catalog: Catalog, read: Figures) -> None:
    amounts = {(TenantId(f"tenant-{n}"), TODAY, "searches"): n for n in range(1, 31)}
    catalog.usage.add({**amounts, (TenantId("tenant-1"), "2020-01-01", "searches"): 1000})
    told = samples(read.collector())
    assert told["usage_today kind=searches"] == sum(range(1, 31))
    by_rank = [told[f"usage_today_by_rank kind=searches rank={rank}"] for rank in range(1, 11)]
    assert by_rank == list(range(30, 20, -1))
    assert not any("tenant-" in name or "rank=11" in name for name in told)


def test_a_backup_and_a_drill_are_told_once_they_are_marked(catalog: Catalog, read: Figures, clock: Clock) -> None:
    assert samples(read.collector())["backup_last_success_timestamp_seconds"] == 0
    at = datetime.now(UTC) - timedelta(hours=3)
    assert marks.mark(catalog, marks.Deed.BACKUP, at) == at
    marks.mark(catalog, marks.Deed.BACKUP, at - timedelta(days=9))  # an earlier one comes late
    marks.mark(catalog, marks.Deed.RESTORE_DRILL)
    clock.now += figures.FRESH_S + 1
    told = samples(read.collector())
    assert told["backup_last_success_timestamp_seconds"] == pytest.approx(at.timestamp())
    assert told["restore_drill_last_success_timestamp_seconds"] == pytest.approx(time.time(), abs=60)


def test_a_time_to_come_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput, match="yet to come"):
        marks.mark(catalog, marks.Deed.BACKUP, datetime.now(UTC) + timedelta(days=1))


def test_findings_are_told_once_the_stores_were_compared(catalog: Catalog, read: Figures, clock: Clock) -> None:
    assert "reconcile_last_run_timestamp_seconds" not in samples(read.collector())
    marks.mark_reconciled(catalog, {"vectors": 3, "graph": 0})
    clock.now += figures.FRESH_S + 1
    told = samples(read.collector())
    assert told["reconcile_findings store=vectors"] == 3 and told["reconcile_findings store=graph"] == 0


def test_whoever_asks_often_gets_the_same_answer(catalog: Catalog, read: Figures, clock: Clock) -> None:
    assert samples(read.collector())["jobs status=queued"] == 0
    catalog.jobs.add(TenantId("a"), [("ingest", SourceId("s1"), 1, 10)])
    clock.now += figures.FRESH_S / 2
    assert samples(read.collector())["jobs status=queued"] == 0
    clock.now += figures.FRESH_S
    assert samples(read.collector())["jobs status=queued"] == 1


def test_a_catalog_that_is_away_leaves_its_figures_out(catalog: Catalog, read: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> dict[str, int]:
        raise StoreUnavailable("The catalog does not answer.", service="catalog")

    monkeypatch.setattr(catalog.jobs, "counts", away)
    told = samples(read.collector())
    assert "jobs status=queued" not in told and "stored_items kind=sources" in told


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"neo4j": False, "milvus": True}, {"neo4j_is_healthy": 0, "milvus_is_healthy": 1}),
        ({"graph": True, "vectors": False}, {"neo4j_is_healthy": 1, "milvus_is_healthy": 0}),
        ({"postgresql": False}, {}),
    ],
)
def test_services_are_told_as_health_names_them(report: dict[str, bool], expected: dict[str, float]) -> None:
    told = samples(figures.services(report, ready=True))
    assert {name: value for name, value in told.items() if name.endswith("_is_healthy")} == expected
    assert {name: told[f"service_is_healthy service={name}"] for name in report} == report
    assert told["backend_is_ready"] == 1
