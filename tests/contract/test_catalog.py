"""What the catalog promises, on SQLite and PostgreSQL: its rows, its jobs, and what two processes may do at once."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given

from localmind.blobs.local import LocalBlobs
from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import Place
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.jobs import BULK, INTERACTIVE
from localmind.catalog.migrate import HEAD, migrate, revision
from localmind.catalog.tables import job as job_table
from localmind.catalog.tables import worker as worker_table
from localmind.chat.conversations import Conversations
from localmind.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from localmind.graph.sql import SqlGraph
from localmind.ids import random_id
from localmind.ingest.accept import Accept
from localmind.ingest.budget import Budget, Limits
from localmind.ingest.enrich import queue_missing
from localmind.ingest.failures import Failures
from localmind.ingest.jobs import Jobs
from localmind.ingest.sources import NewText, Sources
from localmind.ingest.store import LeaseLost, Store
from localmind.limits.quotas import Quota, Quotas
from localmind.limits.usage import UsageMeter
from localmind.llm.metering import Prices, Spent
from localmind.model import Chunk, ChunkId, Citation, Job, JobId, JobStatus, Message, SourceId, SourceStatus, TenantId
from localmind.operations.probes import require_workers
from tests.hostile import hostile, some
from tests.postgresql_server import Open, catalog_fixture, empty_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

ANN, BOB = TenantId("ann"), TenantId("bob")
LEASE_S = 30.0


@pytest.fixture
def catalog(another: Open) -> Catalog:
    return Catalog(another())


def source(catalog: Catalog, id_: str, *, tenant: TenantId = ANN, uri: str | None = None, size_bytes: int = 10, **values: Any) -> SourceId:
    row = {"id": id_, "tenant": tenant, "uri": uri, "kind": "text", "title": f"Title of {id_}", "tags": [], "parent_id": None}
    catalog.sources.add([row | values])
    revise(catalog, id_, 1, tenant=tenant, size_bytes=size_bytes)
    return SourceId(id_)


def revise(catalog: Catalog, id_: str, version: int, *, tenant: TenantId = ANN, size_bytes: int = 10, blob: str = "") -> None:
    row = {
        "source_id": id_,
        "version": version,
        "tenant": tenant,
        "content_hash": f"h-{id_}",
        "blob_key": blob or f"b-{id_}",
        "filename": None,
        "media_type": "text/markdown",
        "size_bytes": size_bytes,
    }
    catalog.sources.add_revisions([row])


def chunk(id_: str, of: str, ordinal: int = 0, text: str = "Some words.", breaks: tuple[int, ...] = ()) -> Chunk:
    return Chunk(ChunkId(id_), SourceId(of), ordinal, text, 0, len(text), 1, "A heading", breaks)


def queue(catalog: Catalog, *ids: str, tenant: TenantId = ANN, priority: int = INTERACTIVE) -> list[JobId]:
    return catalog.jobs.add(tenant, [("ingest", SourceId(id_), 1, priority) for id_ in ids])


def claim(catalog: Catalog, limit: int = 1, worker: str = "w", **options: Any) -> list[Job]:
    return [each.job for each in catalog.jobs.claim(worker, limit=limit, lease_s=LEASE_S, **options)]


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Results of `count` threads that begin together; an error is a result too."""
    barrier = threading.Barrier(count)

    def run(n: int) -> Any:
        barrier.wait()
        try:
            return act(n)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


# --- rows


def test_a_staged_chunk_is_seen_when_its_version_is_shown(catalog: Catalog) -> None:
    source(catalog, "s")
    catalog.chunks.stage(ANN, [(chunk("c", "s", breaks=(3, 7)), 1)])
    assert catalog.chunks.visible(ANN, [ChunkId("c")]) == {}

    catalog.sources.show([(SourceId("s"), 1)])

    assert catalog.chunks.visible(ANN, [ChunkId("c")])[ChunkId("c")].chunk == chunk("c", "s", breaks=(3, 7))
    assert catalog.chunks.visible(BOB, [ChunkId("c")]) == {}
    assert catalog.chunks.count(ANN) == 1


def test_neighbours_stand_right_before_and_after_in_the_same_source(catalog: Catalog) -> None:
    for of in ("s", "t"):
        source(catalog, of)
        catalog.chunks.stage(ANN, [(chunk(f"{of}{n}", of, n), 1) for n in (3, 1, 0, 2, 4)])
    catalog.sources.show([(SourceId("s"), 1), (SourceId("t"), 1)])

    found = catalog.chunks.neighbours(ANN, [ChunkId(id_) for id_ in ("s0", "s3", "s2", "t4", "unknown")])

    assert {of: [each.chunk.id for each in some] for of, some in found.items()} == {
        "s0": ["s1"],
        "s3": ["s2", "s4"],
        "s2": ["s1", "s3"],
        "t4": ["t3"],
    }
    assert (found[ChunkId("s0")][0].chunk, found[ChunkId("s0")][0].title) == (chunk("s1", "s", 1), "Title of s")
    assert catalog.chunks.neighbours(BOB, [ChunkId("s0")]) == {}
    assert catalog.chunks.neighbours(ANN, []) == {}


def test_neighbours_are_of_the_version_that_is_shown(catalog: Catalog) -> None:
    source(catalog, "s")
    catalog.chunks.stage(ANN, [(chunk("c0", "s", 0), 1), (chunk("c1", "s", 1), 1)])
    assert catalog.chunks.neighbours(ANN, [ChunkId("c0")]) == {}

    catalog.sources.show([(SourceId("s"), 1)])
    revise(catalog, "s", 2)
    catalog.chunks.stage(ANN, [(chunk("new", "s", 1), 2)])

    assert [each.chunk.id for each in catalog.chunks.neighbours(ANN, [ChunkId("c0")])[ChunkId("c0")]] == ["c1"]
    assert catalog.chunks.neighbours(ANN, [ChunkId("new")]) == {}

    catalog.sources.hide(ANN, [SourceId("s")])
    assert catalog.chunks.neighbours(ANN, [ChunkId("c0")]) == {}


def test_chunks_keep_their_places_and_texts(catalog: Catalog) -> None:
    source(catalog, "s")
    text = "Größe, 東京, 👍 and “quotes”: 100% of it, with \\ and 'apostrophes'."
    catalog.chunks.stage(ANN, [(chunk(f"c{n}", "s", n, text), 1) for n in range(1200)])
    catalog.sources.show([(SourceId("s"), 1)])

    catalog.chunks.move({ChunkId("c5"): Place(5, 70_000_000_000, 70_000_000_009, None, (1, 2))})

    read = [each for batch in catalog.chunks.of_source(ANN, SourceId("s")) for each in batch]
    assert [each.id for each in read] == [f"c{n}" for n in range(1200)]
    assert {each.text for each in read} == {text}
    assert (read[5].start, read[5].page, read[5].breaks) == (70_000_000_000, None, (1, 2))
    first = catalog.chunks.page(ANN, SourceId("s"), limit=2, cursor=None)
    second = catalog.chunks.page(ANN, SourceId("s"), limit=2, cursor=first.next_cursor)
    assert [each.id for each in (*first.items, *second.items)] == ["c0", "c1", "c2", "c3"]


def test_a_source_is_listed_with_its_state(catalog: Catalog) -> None:
    source(catalog, "s", uri="file:///s", tags=["red", "blue"])
    source(catalog, "other", tenant=BOB)
    job_id = queue(catalog, "s")[0]

    (found,) = catalog.sources.page(ANN, status=SourceStatus.QUEUED, tag="red", query="TITLE OF", limit=10, cursor=None).items

    assert (found.id, found.uri, found.tags, found.job_id, found.version) == ("s", "file:///s", ("red", "blue"), job_id, 0)
    assert catalog.sources.page(ANN, status=SourceStatus.READY, tag=None, query=None, limit=10, cursor=None).items == ()
    with pytest.raises(NotFound):
        catalog.sources.get(BOB, SourceId("s"))


def test_a_blob_is_given_back_with_the_last_revision_that_needs_it(catalog: Catalog) -> None:
    for id_ in ("one", "two"):
        catalog.sources.add([{"id": id_, "tenant": ANN, "uri": None, "kind": "file", "title": id_, "tags": [], "parent_id": None}])
        revise(catalog, id_, 1, blob="shared")

    assert catalog.sources.drop(ANN, SourceId("one")) == set()
    assert catalog.sources.drop(ANN, SourceId("two")) == {"shared"}


def test_settings_and_extractions_are_kept(catalog: Catalog) -> None:
    catalog.set_setting("model", {"name": "m", "dim": 384})
    catalog.set_setting("model", {"name": "n", "dim": 3})
    catalog.extractions.keep(ANN, "x1", {"h1": {"entities": [], "relations": []}})
    catalog.extractions.keep(ANN, "x1", {"h1": {"other": 1}, "h2": {"entities": [{"name": "nul \0"}]}})

    assert catalog.setting("model") == {"name": "n", "dim": 3}
    assert catalog.setting("none") is None
    kept = catalog.extractions.kept(ANN, "x1", ["h1", "h2", "h3"])
    assert kept == {"h1": {"entities": [], "relations": []}, "h2": {"entities": [{"name": "nul \0"}]}}
    catalog.extractions.forget(ANN, ["h1", "h2"])
    assert not catalog.extractions.has_any(ANN)


def test_conversations_are_kept(catalog: Catalog) -> None:
    conversations = Conversations(catalog.database)
    now = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    cited = Citation(n=1, chunk_id=ChunkId("c"), source_id=SourceId("s"), title="T", page=None, start=0, end=3, quote="abc")
    told = [Message("user", "What is “it”?", now), Message("assistant", "It.", now, (cited,))]
    id_ = conversations.record(ANN, None, "What is “it”?", told)

    assert list(conversations.get(ANN, id_).messages) == told
    assert [each.id for each in conversations.list(ANN).items] == [id_]
    assert conversations.list(BOB).items == ()


def test_a_text_that_can_not_be_kept_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput):
        catalog.sources.page(ANN, status=None, tag=None, query="half \ud83d", limit=1, cursor=None)
    if not catalog.database.is_sqlite:
        with pytest.raises(InvalidInput):
            catalog.sources.page(ANN, status=None, tag=None, query="nul \0", limit=1, cursor=None)


# --- one transaction


def test_a_transaction_takes_back_everything(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError), catalog.database.write():
        catalog.set_setting("a", 1)
        catalog.set_setting("b", 1)
        raise RuntimeError
    assert (catalog.setting("a"), catalog.setting("b")) == (None, None)


def test_a_name_is_held_by_one_at_a_time(another: Open) -> None:
    inside = 0
    most = 0

    def hold(_: int) -> None:
        nonlocal inside, most
        database = another()
        with database.write():
            database.hold("name")
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    assert at_once(6, hold) == [None] * 6
    assert most == 1


def test_a_name_can_not_be_held_outside_a_transaction(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError):
        catalog.database.hold("name")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.stack)])
def test_many_processes_migrate_at_once(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new.db") if engine == "sqlite" else request.getfixturevalue("empty_url")
    databases = [Database(url) for _ in range(4)]
    assert at_once(4, lambda number: migrate(databases[number])) == [None] * 4
    assert {revision(database) for database in databases} == {HEAD}
    for database in databases:
        database.close()


# --- claims


def test_the_urgent_goes_before_the_old(catalog: Catalog) -> None:
    bulk = queue(catalog, "a", "b", priority=BULK)
    urgent = queue(catalog, "c")

    assert [job.id for job in claim(catalog, 2)] == [*urgent, bulk[0]]


def test_a_tenant_with_one_document_does_not_wait_for_one_with_ten_thousand(catalog: Catalog) -> None:
    queue(catalog, *(f"a{n}" for n in range(10_000)), priority=BULK)
    claim(catalog, 8)
    single = queue(catalog, "b", tenant=BOB, priority=BULK)

    assert [job.id for job in claim(catalog)] == single


def test_tenants_take_turns_within_a_claim(catalog: Catalog) -> None:
    queue(catalog, *(f"a{n}" for n in range(9)))
    queue(catalog, *(f"b{n}" for n in range(2)), tenant=BOB)

    assert [job.tenant for job in claim(catalog, 6)] == [ANN, BOB, ANN, BOB, ANN, ANN]


def test_a_claim_takes_no_more_bytes_than_it_may_but_always_one_job(catalog: Catalog) -> None:
    for n, size in enumerate((5_000_000, 400_000, 400_000, 400_000)):
        source(catalog, f"s{n}", size_bytes=size)
    catalog.jobs.add(ANN, [("ingest", SourceId(f"s{n}"), 1, n) for n in range(4)])

    assert [job.source_id for job in claim(catalog, 32)] == ["s0", "s1", "s2"]


def test_two_jobs_of_one_source_never_run_at_once(catalog: Catalog) -> None:
    first, second = queue(catalog, "s", "s")

    running = claim(catalog, 32)
    assert [job.id for job in running] == [first]
    assert claim(catalog, 32) == []
    catalog.jobs.finish(running, JobStatus.SUCCEEDED)
    assert [job.id for job in claim(catalog, 32)] == [second]


def test_workers_that_claim_at_once_never_get_the_same_job_or_source(another: Open, catalog: Catalog) -> None:
    queue(catalog, *(f"s{n % 60}" for n in range(120)))

    def work(n: int) -> list[Job]:
        mine = Catalog(another())
        return [job for _ in range(5) for job in claim(mine, 3, worker=f"w{n}")]

    results = at_once(6, work)

    assert all(isinstance(result, list) for result in results), results
    jobs = [job for result in results for job in result]
    assert len({job.id for job in jobs}) == len(jobs) == len({job.source_id for job in jobs}) == 60


def test_a_postponed_job_waits_for_its_time(catalog: Catalog) -> None:
    queue(catalog, "s")
    (job,) = claim(catalog)

    catalog.jobs.postpone(job, delay_s=0.3, error={"type": "away"})

    assert claim(catalog) == []
    time.sleep(0.35)
    (again,) = catalog.jobs.claim("w", limit=1, lease_s=LEASE_S)
    assert (again.attempts, again.failures) == (2, 1)


def test_what_was_not_the_jobs_fault_is_not_counted(catalog: Catalog) -> None:
    queue(catalog, "s")
    for _ in range(3):
        (job,) = claim(catalog)
        catalog.jobs.postpone(job, delay_s=0, error={"type": "store_unavailable"}, count=False)

    (last,) = catalog.jobs.claim("w", limit=1, lease_s=LEASE_S)
    assert (last.attempts, last.failures) == (1, 0)


# --- leases


def expire(catalog: Catalog, jobs: Sequence[Job]) -> None:
    """As if their worker had been silent for long."""
    with catalog.database.write() as connection:
        connection.execute(sa.update(job_table).where(job_table.c.id.in_([job.id for job in jobs])).values(lease_until=1.0))


def test_a_silent_workers_job_is_taken_over_and_an_alive_ones_is_not(catalog: Catalog) -> None:
    queue(catalog, "a", "b")
    silent, alive = claim(catalog, 1, worker="silent"), claim(catalog, 1, worker="alive")
    expire(catalog, [*silent, *alive])

    assert catalog.jobs.heartbeat(alive, lease_s=LEASE_S) == {alive[0].id}
    assert catalog.jobs.release_lost() == 1

    assert [job.id for job in claim(catalog, 5, worker="other")] == [silent[0].id]


def test_a_cancelled_job_that_was_begun_goes_to_a_worker_that_clears_up(catalog: Catalog) -> None:
    queue(catalog, "begun")
    queue(catalog, "new")
    (begun,) = claim(catalog)
    catalog.jobs.postpone(begun, delay_s=60, error={"type": "away"}, count=False)

    for source in ("begun", "new"):
        catalog.jobs.ask_cancel(ANN, source_id=SourceId(source))

    assert catalog.jobs.get(ANN, begun.id).status is JobStatus.QUEUED
    (claimed,) = catalog.jobs.claim("worker", limit=5, lease_s=LEASE_S)
    assert (claimed.job.id, claimed.is_cancelled) == (begun.id, True)


def test_a_worker_that_lost_a_job_changes_nothing_of_it(catalog: Catalog) -> None:
    queue(catalog, "s")
    (old,) = claim(catalog)
    expire(catalog, [old])
    catalog.jobs.release_lost()
    (new,) = claim(catalog)  # by the same worker: even then the old claim is worth nothing

    catalog.jobs.progress([(old, "embed", 0.9)], got_on=True)
    catalog.jobs.postpone(old, delay_s=60, error={"type": "late"})
    catalog.jobs.finish([old], JobStatus.FAILED, error={"type": "late"})

    assert catalog.jobs.confirm([old]) == catalog.jobs.heartbeat([old], lease_s=LEASE_S) == set()
    assert catalog.jobs.confirm([new]) == {new.id}
    seen = catalog.jobs.get(ANN, new.id)
    assert (seen.status, seen.stage, seen.error, seen.owner) == (JobStatus.RUNNING, "read", None, new.owner)
    catalog.jobs.finish([new], JobStatus.SUCCEEDED)
    assert catalog.jobs.get(ANN, new.id).status is JobStatus.SUCCEEDED


def test_a_confirmed_job_is_not_taken_over_before_the_transaction_ends(another: Open, catalog: Catalog) -> None:
    if catalog.database.is_sqlite:
        pytest.skip("SQLite has one writer")
    queue(catalog, "s")
    (job,) = claim(catalog)
    expire(catalog, [job])
    other = Catalog(another())

    with catalog.database.write():
        assert catalog.jobs.confirm([job]) == {job.id}
        assert other.jobs.release_lost() == 0
    assert other.jobs.release_lost() == 1


def test_a_cancel_ends_what_waits_and_flags_what_runs(catalog: Catalog) -> None:
    queue(catalog, "a", "b")
    (running,) = claim(catalog)
    waiting = next(job for job in catalog.jobs.page(ANN, status=None, source_id=None, limit=9, cursor=None).items if job.id != running.id)

    for job in (running, waiting):
        catalog.jobs.ask_cancel(ANN, job_id=job.id)

    assert catalog.jobs.get(ANN, waiting.id).status is JobStatus.CANCELLED
    assert catalog.jobs.get(ANN, running.id).status is JobStatus.RUNNING
    assert catalog.jobs.cancelled([running.id, waiting.id]) == {running.id, waiting.id}


def test_a_retry_is_of_what_ended_badly_and_once(another: Open, catalog: Catalog) -> None:
    (id_,) = queue(catalog, "s")
    assert not catalog.jobs.requeue(ANN, id_)
    catalog.jobs.finish(claim(catalog), JobStatus.FAILED, error={"type": "x"})

    assert sorted(at_once(4, lambda _: Catalog(another()).jobs.requeue(ANN, id_))) == [False, False, False, True]


def test_workers_are_known_as_long_as_they_are_seen(catalog: Catalog) -> None:
    catalog.workers.beat("w1", queues=("ingestion",))
    catalog.workers.beat("w2", queues=("ingestion", "maintenance"))
    catalog.workers.beat("w1", queues=("ingestion",))
    assert {each.id: each.queues for each in catalog.workers.alive(within_s=10)} == {
        "w1": ("ingestion",),
        "w2": ("ingestion", "maintenance"),
    }

    with catalog.database.write() as connection:
        old = sa.update(worker_table).where(worker_table.c.id == "w1")
        connection.execute(old.values(seen_at=worker_table.c.seen_at - 90_000))
    assert [each.id for each in catalog.workers.alive(within_s=60)] == ["w2"]
    catalog.workers.beat("w2", queues=("ingestion",))
    assert [each.id for each in catalog.workers.alive()] == ["w2"]
    catalog.workers.leave("w2")
    assert catalog.workers.alive() == []


def test_a_backend_is_no_worker(catalog: Catalog) -> None:
    catalog.workers.beat("backend", queues=())
    with pytest.raises(StoreUnavailable, match="No worker"):
        require_workers(catalog)
    catalog.workers.beat("worker", queues=("ingestion",))
    assert require_workers(catalog) == 1


# --- accepting, deleting, and blobs


class Desk:
    """The verbs over a connection of its own to the catalog, as one process has them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.catalog = Catalog(database)
        blobs = LocalBlobs(folder / "blobs")
        blobs.open()
        self.store = Store(self.catalog, blobs, Nowhere(), Nowhere(), SqlGraph(database))  # type: ignore[arg-type]
        quotas = Quotas(self.catalog, Quota())
        accept = Accept(self.store, max_bytes=10_000_000, wake=lambda: None, quotas=quotas, usage=UsageMeter(self.catalog, quotas))
        self.sources = Sources(self.store, accept, wake=lambda: None)

    def put(self, text: str, **options: Any) -> Any:
        return self.sources.upload(ANN, filename="a.txt", data=io.BytesIO(text.encode()), **options)

    def work_off(self) -> None:
        """Deletes only."""
        for job in claim(self.catalog, 32):
            assert job.kind == "delete"
            assert job.source_id is not None
            self.store.remove(ANN, [job.source_id], [job])


class Nowhere:
    """An index that nothing is asked of here."""

    in_catalog = True

    def delete(self, *_: Any) -> None: ...

    def delete_sources(self, *_: Any) -> None: ...


@pytest.fixture
def desk(another: Open, tmp_path: Path) -> Callable[[], Desk]:
    return lambda: Desk(another(), tmp_path)


def test_the_same_content_put_in_by_many_at_once_is_one_source(desk: Callable[[], Desk]) -> None:
    desks = [desk() for _ in range(6)]

    answers = at_once(6, lambda n: desks[n].put("The same words."))

    assert len({answer.source_id for answer in answers}) == 1, answers
    assert sorted(answer.duplicate for answer in answers) == [False, True, True, True, True, True]


def test_one_address_put_in_by_many_at_once_is_one_source_with_versions_that_count_up(desk: Callable[[], Desk]) -> None:
    desks = [desk() for _ in range(6)]

    answers = at_once(6, lambda n: desks[n].put(f"Words number {n}.", uri="file:///a"))

    assert len({answer.source_id for answer in answers}) == 1, answers
    revision = desks[0].catalog.sources.revision(ANN, answers[0].source_id)
    assert revision.latest == 6
    waiting = desks[0].catalog.jobs.page(ANN, status=JobStatus.QUEUED, source_id=None, limit=9, cursor=None).items
    assert [job.version for job in waiting] == [6]


def test_versions_of_one_source_given_at_once_all_count(desk: Callable[[], Desk]) -> None:
    desks = [desk() for _ in range(5)]
    accepted = desks[0].put("The first.")

    answers = at_once(5, lambda n: desks[n].sources.replace(ANN, accepted.source_id, filename="b.txt", data=io.BytesIO(b"%d" % n)))

    assert [type(answer) for answer in answers] == [type(accepted)] * 5, answers
    assert desks[0].catalog.sources.revision(ANN, accepted.source_id).latest == 6


def test_a_document_put_in_while_the_same_one_is_deleted_keeps_its_content(desk: Callable[[], Desk]) -> None:
    """The delete's blob is the upload's: whoever comes second finds out."""
    putting, deleting = desk(), desk()
    for _ in range(20):
        accepted = putting.put("Words that come and go.")
        for job in claim(putting.catalog, 9):
            putting.catalog.jobs.finish([job], JobStatus.SUCCEEDED)
        deleting.sources.delete(ANN, accepted.source_id)

        again, _done = at_once(2, lambda n: putting.put("Words that come and go.") if n == 0 else deleting.work_off())

        assert not isinstance(again, Exception), again
        with putting.sources.content(ANN, again.source_id) as content:
            assert content.path.read_text() == "Words that come and go."
        assert putting.catalog.sources.blob_keys(ANN) == set(putting.store.blobs.keys(ANN))
        with putting.catalog.database.write() as connection:
            connection.execute(sa.delete(job_table))
        putting.sources.delete(ANN, again.source_id)
        deleting.work_off()


def test_a_sweep_leaves_what_a_row_needs(desk: Callable[[], Desk]) -> None:
    here = desk()
    here.put("Needed.")
    (needed,) = here.store.blobs.keys(ANN)
    orphan, _ = here.store.blobs.put(ANN, io.BytesIO(b"Nobody's."))

    assert here.store.drop_blobs(ANN, [needed, orphan]) == [orphan]
    assert list(here.store.blobs.keys(ANN)) == [needed]


def test_many_texts_put_in_by_many_at_once_are_each_there_once(desk: Callable[[], Desk]) -> None:
    desks = [desk() for _ in range(4)]
    texts = [NewText(f"Note {n}", f"Words of note {n}.") for n in range(30)]

    answers = at_once(4, lambda n: desks[n].sources.add_texts(ANN, texts[n * 5 : n * 5 + 15]))

    assert all(isinstance(answer, list) for answer in answers), answers
    assert desks[0].catalog.sources.count(ANN) == 30


def test_a_worker_that_lost_its_job_commits_nothing(desk: Callable[[], Desk]) -> None:
    here = desk()
    here.put("Words.")
    (job,) = claim(here.catalog)
    expire(here.catalog, [job])
    here.catalog.jobs.release_lost()
    taken_over = claim(here.catalog)

    with pytest.raises(LeaseLost):
        here.store._confirm([job])
    Failures(here.store, attempts=1).give_up(job, RuntimeError("late"))

    assert here.catalog.jobs.get(ANN, job.id).status is JobStatus.RUNNING
    assert here.catalog.jobs.confirm(taken_over) == {job.id}


def test_a_job_is_retried_once(desk: Callable[[], Desk]) -> None:
    here = desk()
    here.put("Words.")
    (job,) = claim(here.catalog)
    here.catalog.jobs.finish([job], JobStatus.FAILED, error={"type": "x"})
    jobs = Jobs(here.catalog, Announcing(), wake=lambda: None)  # type: ignore[arg-type]

    assert jobs.retry(ANN, job.id).status is JobStatus.QUEUED
    with pytest.raises(Conflict):
        jobs.retry(ANN, job.id)


class Announcing:
    def announce(self, ids: Sequence[JobId]) -> None: ...


# --- what an LLM costs, and what it has yet to extract


def test_spending_adds_up_by_tenant_over_a_period_from_every_process(another: Open) -> None:
    catalogs = [Catalog(another()) for _ in range(4)]

    at_once(4, lambda n: [catalogs[n].spending.add(ANN, "2026-03-05", "m", Spent(1, 100, 10), 0.5) for _ in range(5)])
    catalogs[0].spending.add(ANN, "2026-03-31", "m" * 300, Spent(1, 7, 3), 0.25)
    catalogs[0].spending.add(ANN, "2026-02-28", "m", Spent(9, 9, 9), 9.0)
    catalogs[0].spending.add(BOB, "2026-03-05", "m", Spent(9, 9, 9), 9.0)

    assert catalogs[1].spending.since(ANN, "2026-03-01") == (Spent(21, 2007, 203), 10.25)
    assert catalogs[1].spending.since(TenantId("nobody"), "2026-03-01") == (Spent(), 0.0)


@pytest.mark.parametrize(("period", "since", "until"), [("day", 31, (2027, 1, 1)), ("month", 1, (2027, 1, 1))])
def test_a_budget_is_for_a_period_of_the_calendar(catalog: Catalog, period: str, since: int, until: tuple[int, int, int]) -> None:
    now = [datetime(2026, 12, 31, 23, 59, tzinfo=UTC)]
    budget = Budget(catalog.spending, Limits(1000, 0.0, period), Prices(1.0, 2.0), model="m", clock=lambda: now[0])
    assert budget.spend(ANN, Spent(1, 600, 300)) == pytest.approx(0.0012)

    account = budget.account(ANN)
    assert (account.since, account.until) == (datetime(2026, 12, since, tzinfo=UTC), datetime(*until, tzinfo=UTC))
    assert budget.allows(account, Spent(1, 60, 40)) and not budget.allows(account, Spent(1, 60, 41))
    assert "900 of 1,000 tokens" in budget.spent_error(account).message
    assert budget.allows(budget.account(BOB), Spent(1, 900, 100))

    now[0] = datetime(2027, 1, 1, tzinfo=UTC)
    assert budget.allows(budget.account(ANN), Spent(1, 900, 100))


def test_a_jobs_usage_is_kept_by_its_owner_alone(catalog: Catalog) -> None:
    source(catalog, "s")
    queue(catalog, "s")
    [mine] = claim(catalog)

    catalog.jobs.set_usage(mine, {"calls": 3})
    catalog.jobs.finish([mine], JobStatus.SUCCEEDED)
    catalog.jobs.set_usage(mine, {"calls": 4})

    assert catalog.jobs.get(ANN, mine.id).usage == {"calls": 3}


def test_sources_that_miss_something_are_found_and_queued_once(catalog: Catalog, tmp_path: Path) -> None:
    graph = SqlGraph(catalog.database)
    store = Store(catalog, LocalBlobs(tmp_path / "blobs"), None, None, graph)  # type: ignore[arg-type]
    for id_ in ("a", "b", "c", "gone"):
        source(catalog, id_)
    source(catalog, "d", tenant=BOB)
    everything = [SourceId(id_) for id_ in ("a", "b", "c", "gone", "d")]
    catalog.sources.show([(id_, 1) for id_ in everything])
    past, future = time.time() - 5, time.time() + 500
    waits = {"a": past, "b": future, "c": None, "gone": past, "d": past}
    rows = [{"source_id": id_, "version": 1, "missing": 0 if id_ == "c" else 2, "waits_until": waits[id_]} for id_ in everything]
    catalog.sources.update_revision(rows)
    catalog.sources.hide(ANN, [SourceId("gone")])

    assert catalog.extractions.missing(ANN, limit=10) == [("a", 1), ("b", 1)]
    assert catalog.extractions.missing(ANN, limit=1) == [("a", 1)]
    assert catalog.extractions.due() == {ANN: [("a", 1)], BOB: [("d", 1)]}

    results = at_once(3, lambda _: queue_missing(store, ANN, [(SourceId("a"), 1), (SourceId("b"), 1)]))

    assert sorted(len(queued) for queued in results) == [0, 0, 2]
    assert catalog.extractions.missing(ANN, limit=10) == []
    assert catalog.extractions.due() == {BOB: [("d", 1)]}


@some
@given(hostile)
def test_no_tag_title_or_id_is_syntax_or_reaches_another_tenant(catalog: Catalog, text: str) -> None:
    for tenant, id_ in ((ANN, f"a-{random_id()}"), (BOB, f"b-{random_id()}")):
        source(catalog, id_, tenant=tenant, title=text, tags=[text], uri=f"{text}-{id_}")
        catalog.sources.show([(SourceId(id_), 1)])
    mine, theirs = catalog.sources.ids(ANN), catalog.sources.ids(BOB)

    def listed(**filters: Any) -> set[str]:
        return {one.id for one in catalog.sources.page(ANN, status=None, limit=200, cursor=None, **filters).items}

    assert listed(tag=text, query=None) and listed(tag=text, query=None) <= mine
    assert listed(tag=None, query=text) <= mine
    assert listed(tag=f"{text} x", query=f"{text} x") == set()
    assert not catalog.sources.ids_with(ANN, tags={text}, source_ids=theirs)
    for wrong in (text, *theirs):
        with pytest.raises(NotFound):
            catalog.sources.get(ANN, SourceId(wrong))
        catalog.sources.drop(ANN, SourceId(wrong))
    assert (catalog.sources.ids(ANN), catalog.sources.ids(BOB)) == (mine, theirs)
