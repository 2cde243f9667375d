"""What becomes of jobs when people change their minds, stores go away and workers die."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace

import numpy as np
import sqlalchemy as sa

from localmind.catalog.tables import chunk as chunk_table
from localmind.catalog.tables import job as job_table
from localmind.errors import StoreUnavailable
from localmind.ingest.outages import MAX_WAIT_S, Outages
from localmind.model import PERSONAL, ChunkId, ChunkKey, JobStatus, SourceStatus
from tests.unit.ingest.test_ingest import OTTERS, manual, until_staged


def upload(desk, text: str, name: str = "long.md"):
    return desk.mind.sources.upload(PERSONAL, filename=name, data=io.BytesIO(text.encode()))


def away(*, times: int):
    """A store's method that is away so many times, and counts."""

    def wrap(method):
        def call(*args, **options):
            call.count += 1
            if call.count <= times:
                raise StoreUnavailable("The vectors are away.", service="milvus")
            return method(*args, **options)

        call.count = 0
        return call

    return wrap


def test_a_cancel_in_mid_embedding_ends_the_job_within_two_seconds(desk, hold):
    gate = hold(0)
    accepted = upload(desk, manual(100))
    gate.wait()

    began = time.monotonic()
    desk.mind.jobs.cancel(PERSONAL, accepted.job_id)
    job = desk.end_of(accepted)

    assert job.status is JobStatus.CANCELLED
    assert time.monotonic() - began < 2  # the embedder still has its batches
    gate.open()
    assert desk.put(OTTERS)  # what was on its way is dropped without harm
    assert desk.mind.maintenance.stats(PERSONAL).vectors == 1
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_a_cancelled_job_can_be_retried_at_once(desk, hold):
    gate = hold(1)
    accepted = upload(desk, manual(100))
    until_staged(desk, accepted)
    desk.mind.jobs.cancel(PERSONAL, accepted.job_id)
    assert desk.end_of(accepted).status is JobStatus.CANCELLED

    desk.mind.jobs.retry(PERSONAL, accepted.job_id)
    gate.open()

    assert desk.end_of(accepted).status is JobStatus.SUCCEEDED
    source = desk.mind.sources.get(PERSONAL, accepted.source_id)
    assert (source.status, source.vectors) == (SourceStatus.READY, source.chunks)
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_a_store_that_goes_away_costs_no_attempt_and_no_embedding(desk, monkeypatch):
    vectors = desk.mind.store.vectors
    for name in ("append", "write"):
        monkeypatch.setattr(vectors, name, away(times=2)(getattr(vectors, name)))

    accepted = desk.put(manual(60))

    assert desk.mind.jobs.get(PERSONAL, accepted.job_id).attempts == 1
    assert len(desk.embedded) == len(set(desk.embedded)) > 5
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_nothing_is_claimed_time_and_again_while_a_store_is_away(desk, monkeypatch):
    is_back = threading.Event()
    read, claim = desk.mind.store.blobs.read, desk.mind.catalog.jobs.claim
    claimed: list[str] = []

    def reading(*args):
        if not is_back.is_set():
            raise StoreUnavailable("The blobs are away.", service="minio")
        return read(*args)

    def claiming(*args, **options):
        found = claim(*args, **options)
        claimed.extend(each.job.id for each in found)
        return found

    monkeypatch.setattr(desk.mind.store.blobs, "read", reading)
    monkeypatch.setattr(desk.mind.catalog.jobs, "claim", claiming)
    from localmind.ingest.sources import NewText

    answers = desk.mind.sources.add_texts(PERSONAL, [NewText(f"Note {n}", f"Words of note {n}.") for n in range(40)])
    time.sleep(2)
    before = len(claimed)
    is_back.set()

    assert {desk.end_of(answer).status for answer in answers} == {JobStatus.SUCCEEDED}
    assert before <= 32 + 8
    assert {desk.mind.jobs.get(PERSONAL, answer.job_id).attempts for answer in answers} == {1}


def test_a_job_that_this_worker_forgot_is_taken_up_again(desk):
    """Its lease is kept for what is in hand, not for everything that carries the worker's name."""
    accepted = desk.put(OTTERS)
    desk.mind.pipeline._lease_s = 1.5
    with desk.mind.catalog.database.write() as connection:
        forgotten = {"status": "running", "owner": f"{desk.mind.pipeline.owner}.deadbeef", "lease_until": time.time() + 1}
        connection.execute(sa.update(job_table).where(job_table.c.id == accepted.job_id).values(forgotten))

    assert desk.end_of(accepted).status is JobStatus.SUCCEEDED


def test_waits_grow_and_end_with_the_outage():
    outages = Outages()
    error = StoreUnavailable("Away.", service="milvus")

    first = outages.met(error)
    assert outages.met(error) == first  # the same outage, met by another thread
    assert 0 < outages.left_s <= first
    outages._until = 0.0
    assert outages.met(error) == 2 * first
    for _ in range(9):
        outages._until = 0.0
        last = outages.met(error)
    assert last == MAX_WAIT_S

    outages.over()
    assert outages.left_s == 0.0
    assert not outages.are_on


def broken_after(method, *, times: int):
    """A store's method that does its work and then is away, so many times."""

    def call(*args, **options):
        result = method(*args, **options)
        call.count += 1
        if call.count <= times:
            raise StoreUnavailable("The vectors are away.", service="milvus")
        return result

    call.count = 0
    return call


def strays(desk) -> set[str]:
    """Chunks that have a vector and no row."""
    rows = {key for key, _ in desk.mind.catalog.chunks.all_ids(PERSONAL)}
    return {key.chunk_id for keys in desk.mind.store.vectors.keys(PERSONAL) for key in keys} - rows


def write_and_be_away(desk, monkeypatch, text: str):
    """A first version whose vectors are written, and whose job then waits for a store that is away."""
    vectors = desk.mind.store.vectors
    monkeypatch.setattr("localmind.ingest.pipeline.PATIENCE_S", 0.0)
    monkeypatch.setattr(vectors, "append", broken_after(vectors.append, times=1))
    accepted = upload(desk, text)
    for job in desk.mind.jobs.watch(PERSONAL, accepted.job_id, 60):
        if job.status is JobStatus.QUEUED and job.error is not None:
            break
    assert strays(desk)
    return accepted


def test_a_new_text_for_a_document_that_never_appeared_leaves_nothing_of_the_first(desk, monkeypatch):
    accepted = write_and_be_away(desk, monkeypatch, manual(40))

    again = desk.mind.sources.replace(PERSONAL, accepted.source_id, filename="long.md", data=io.BytesIO(OTTERS.encode()))

    assert desk.end_of(again).status is JobStatus.SUCCEEDED
    assert strays(desk) == set()
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_a_job_that_is_cancelled_while_it_waits_for_a_store_leaves_nothing_behind(desk, monkeypatch):
    accepted = write_and_be_away(desk, monkeypatch, manual(40))

    desk.mind.jobs.cancel(PERSONAL, accepted.job_id)

    assert desk.end_of(accepted).status is JobStatus.CANCELLED
    assert strays(desk) == set()
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_what_a_worker_writes_after_it_lost_its_lease_is_swept(desk, monkeypatch):
    vectors, is_writing, is_taken = desk.mind.store.vectors, threading.Event(), threading.Event()
    append = vectors.append

    def late(*args):
        is_writing.set()
        assert is_taken.wait(30)
        append(*args)

    monkeypatch.setattr(vectors, "append", late)
    accepted = upload(desk, manual(40))
    assert is_writing.wait(30)
    with desk.mind.catalog.database.write() as connection:  # another worker took it over, and cancelled it
        ended = {"status": "cancelled", "owner": None, "lease_until": None}
        connection.execute(sa.update(job_table).where(job_table.c.id == accepted.job_id).values(ended))
    is_taken.set()

    deadline = time.monotonic() + 20
    while strays(desk) or vectors.count(PERSONAL):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert desk.mind.catalog.chunks.count(PERSONAL) == 0


def test_what_was_written_before_a_store_went_away_is_not_there_twice(desk, monkeypatch):
    accepted = write_and_be_away(desk, monkeypatch, manual(40))

    assert desk.end_of(accepted).status is JobStatus.SUCCEEDED

    assert desk.mind.store.vectors.count(PERSONAL) == desk.mind.catalog.chunks.count(PERSONAL) > 1
    assert desk.mind.maintenance.reconcile(fix=False).findings == ()


def test_a_chunk_that_a_late_worker_appended_once_more_is_made_one_again(desk):
    accepted = desk.put(OTTERS)
    vectors, store = desk.mind.store.vectors, desk.mind.store
    (keys,) = vectors.keys(PERSONAL)
    found = vectors.get(PERSONAL, [key.chunk_id for key in keys])
    vectors.append(PERSONAL, keys, np.stack([found[key.chunk_id] for key in keys]))

    assert store.sweep_if_idle(PERSONAL, accepted.source_id)

    assert vectors.count(PERSONAL) == len(keys)


def test_a_worker_that_lost_its_job_sweeps_nothing_that_its_successor_writes(desk):
    accepted = desk.put(OTTERS)
    store, job = desk.mind.store, desk.mind.jobs.get(PERSONAL, accepted.job_id)
    (key,) = [key for keys in store.vectors.keys(PERSONAL, source=accepted.source_id) for key in keys]
    vector = store.vectors.get(PERSONAL, [key.chunk_id])[key.chunk_id].reshape(1, -1)
    store.vectors.write(PERSONAL, [ChunkKey(ChunkId("written-before-its-row"), accepted.source_id)], vector)

    store.sweep(replace(job, owner="a worker that was late"))
    assert store.vectors.count(PERSONAL, source=accepted.source_id) == 2

    with desk.mind.catalog.database.write() as connection:
        connection.execute(sa.update(job_table).where(job_table.c.id == job.id).values(status=JobStatus.RUNNING, owner="me"))
    store.sweep(replace(job, owner="me"))
    assert store.vectors.count(PERSONAL, source=accepted.source_id) == 1


def test_a_sweep_looks_for_rows_when_it_has_seen_what_the_index_holds(desk, monkeypatch):
    accepted = desk.put(OTTERS)
    store, job = desk.mind.store, desk.mind.jobs.get(PERSONAL, accepted.job_id)
    with desk.mind.catalog.database.write() as connection:
        connection.execute(sa.update(job_table).where(job_table.c.id == job.id).values(status=JobStatus.RUNNING, owner="me"))
        rows = connection.execute(sa.select(chunk_table).where(chunk_table.c.source_id == accepted.source_id)).mappings().all()
        connection.execute(sa.delete(chunk_table).where(chunk_table.c.source_id == accepted.source_id))
    keys = store.vectors.keys

    def committed_meanwhile(*args, **kwargs):
        found = list(keys(*args, **kwargs))
        with desk.mind.catalog.database.write() as connection:
            connection.execute(sa.insert(chunk_table), [dict(row) for row in rows])
        return iter(found)

    monkeypatch.setattr(store.vectors, "keys", committed_meanwhile)
    store.sweep(replace(job, owner="me"))
    assert store.vectors.count(PERSONAL, source=accepted.source_id) == len(rows) > 0
