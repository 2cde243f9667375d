"""What quotas and usage promise, on SQLite and PostgreSQL: spaces add up, processes at once stay within, nothing is counted twice."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from localmind.blobs.local import LocalBlobs
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.errors import InvalidInput, NotFound, QuotaReached, StoreUnavailable, TooManyRequests
from localmind.graph.sql import SqlGraph
from localmind.ingest.accept import Accept
from localmind.ingest.sources import NewText, Sources
from localmind.ingest.store import Store
from localmind.limits.quotas import Quota, Quotas
from localmind.limits.usage import UsageMeter
from localmind.llm.metering import Spent
from localmind.model import PERSONAL, JobStatus, TenantId
from tests.postgresql_server import Open, catalog_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

SPACE, OTHER = TenantId("space"), TenantId("other")
TODAY = date(2026, 3, 5)


@pytest.fixture
def another(another: Open) -> Open:
    """The same, of a catalog with a space."""
    Catalog(another()).spaces.add(PERSONAL, SPACE, name="Space", restricted=False)
    return another


class Desk:
    """The verbs over a connection of its own to the catalog, as one process has them."""

    def __init__(self, database: Database, folder: Path, quota: Quota) -> None:
        self.catalog = Catalog(database)
        blobs = LocalBlobs(folder / "blobs")
        blobs.open()
        store = Store(self.catalog, blobs, None, None, SqlGraph(database))  # type: ignore[arg-type]
        self.quotas = Quotas(self.catalog, quota)
        self.usage = UsageMeter(self.catalog, self.quotas, clock=lambda: datetime(2026, 3, 5, 12, tzinfo=UTC))
        accept = Accept(store, max_bytes=10_000_000, wake=lambda: None, quotas=self.quotas, usage=self.usage)
        self.sources = Sources(store, accept, wake=lambda: None)

    def put(self, text: str, partition: TenantId = PERSONAL) -> Any:
        return self.sources.upload(partition, filename="a.txt", data=io.BytesIO(text.encode()))


@pytest.fixture
def desk(another: Open, tmp_path: Path) -> Callable[..., Desk]:
    return lambda **quota: Desk(another(), tmp_path, Quota(**quota))


def test_processes_at_once_stay_within_a_tenants_quota_over_all_its_spaces(desk: Callable[..., Desk]) -> None:
    desks = [desk(documents=10) for _ in range(4)]
    barrier = threading.Barrier(4)

    def put(number: int) -> int:
        barrier.wait()
        accepted = 0
        for n in range(6):
            try:
                desks[number].put(f"Text {number} {n}", SPACE if number % 2 else PERSONAL)
                accepted += 1
            except QuotaReached as error:
                assert error.data["held"] == 10
        return accepted

    with ThreadPoolExecutor(4) as pool:
        accepted = list(pool.map(put, range(4)))

    assert sum(accepted) == 10
    held = desks[0].quotas.held(SPACE)
    assert (held.documents, held.jobs) == (10, 10)
    assert desks[0].quotas.held(OTHER).documents == 0


def test_bytes_at_once_stay_within_the_quota_too(desk: Callable[..., Desk]) -> None:
    desks = [desk(storage_mb=0.01) for _ in range(3)]

    def put(number: int) -> None:
        for n in range(4):
            try:
                desks[number].put(f"{number} {n} " + "x" * 2000)
            except QuotaReached as error:
                assert error.data["limit"] == 0.01

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(put, range(3)))

    assert desks[0].catalog.sources.count(PERSONAL) == 4
    assert desks[0].quotas.held(PERSONAL).size_bytes <= 10_000


def test_what_is_here_already_needs_no_room(desk: Callable[..., Desk]) -> None:
    here = desk(documents=1)
    first = here.put("The same words.")
    assert here.put("The same words.").duplicate
    assert here.sources.replace_text(PERSONAL, first.source_id, text="Other words.").source_id == first.source_id
    with pytest.raises(QuotaReached, match="1 documents"):
        here.put("More words.")
    here.put("Of another tenant.", OTHER)


def test_open_jobs_are_limited_and_deletes_are_none(desk: Callable[..., Desk]) -> None:
    here = desk(jobs=2)
    first, second = here.sources.add_texts(PERSONAL, [NewText("A", "One."), NewText("B", "Two.")])
    with pytest.raises(TooManyRequests) as caught:
        here.put("Three.", SPACE)
    assert caught.value.data["retry_after_s"] > 0
    here.sources.delete(PERSONAL, first.source_id)
    [job] = [claim.job for claim in here.catalog.claim("w", limit=9, lease_s=30) if claim.job.id == second.job_id]
    here.catalog.jobs.finish([job], JobStatus.SUCCEEDED)
    assert here.quotas.held(PERSONAL).jobs <= 1
    here.put("Three.", SPACE)


def test_a_refused_batch_leaves_nothing(desk: Callable[..., Desk]) -> None:
    here = desk(documents=2)
    with pytest.raises(QuotaReached, match="3 more came"):
        here.sources.add_texts(PERSONAL, [NewText(name, name) for name in "abc"])
    assert here.catalog.sources.count(PERSONAL) == 0
    assert here.usage.report(PERSONAL, TODAY, TODAY) == []


def test_a_tenant_has_limits_of_its_own(desk: Callable[..., Desk]) -> None:
    here, there = desk(documents=1), desk(documents=1)
    here.quotas.change(PERSONAL, {"documents": 2, "chunks": 7})
    assert there.quotas.of(SPACE) == Quota(documents=2, chunks=7)
    assert here.quotas.of(OTHER) == Quota(documents=1)
    assert here.quotas.change(PERSONAL, {"documents": None}) == Quota(documents=1, chunks=7)
    with pytest.raises(NotFound):
        here.quotas.change(SPACE, {"documents": 2})
    for values in ({"documents": -1.0}, {"document": 1.0}, {"documents": float("nan")}):
        with pytest.raises(InvalidInput):
            here.quotas.change(PERSONAL, values)


def test_usage_adds_up_over_spaces_processes_and_models(desk: Callable[..., Desk]) -> None:
    desks = [desk() for _ in range(3)]

    def use(number: int) -> None:
        for _ in range(5):
            desks[number].usage.count(SPACE if number else PERSONAL, requests=2, searches=1)
            desks[number].usage.flush()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(use, range(3)))
    desks[0].put("Seven b", SPACE)
    desks[0].catalog.spending.add(PERSONAL, "2026-03-05", "one", Spent(1, 10, 1), 0.5)
    desks[0].catalog.spending.add(PERSONAL, "2026-03-05", "two", Spent(1, 10, 1), 0.5)
    desks[0].usage.count(OTHER, requests=99)

    [day] = desks[1].usage.report(SPACE, TODAY, TODAY)
    assert (day.requests, day.searches, day.documents, day.size_bytes) == (30, 15, 1, 7)
    assert (day.llm_calls, day.llm_prompt_tokens, day.llm_completion_tokens, day.llm_cost) == (2, 20, 2, 1.0)
    assert desks[1].usage.report(PERSONAL, date(2026, 3, 6), date(2026, 4, 6)) == []
    for first, last in ((date(2026, 3, 6), TODAY), (date(2020, 1, 1), TODAY)):
        with pytest.raises(InvalidInput):
            desks[1].usage.report(PERSONAL, first, last)


def test_what_could_not_be_written_is_written_later(desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk()
    here.usage.count(PERSONAL, requests=3)

    def away(*_: Any) -> None:
        raise StoreUnavailable("The catalog is away.")

    with monkeypatch.context() as patched:
        patched.setattr(here.catalog.usage, "add", away)
        with pytest.raises(StoreUnavailable):
            here.usage.flush()
    here.usage.count(PERSONAL, requests=1)
    here.usage.start()
    here.usage.close()
    assert desk().usage.report(PERSONAL, TODAY, TODAY)[0].requests == 4
