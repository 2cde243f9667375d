"""The jobs table: what was accepted and how far it is. It is the truth; a queue in front of it only wakes workers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from localmind.accounts.acting import current
from localmind.catalog import claims, cursors
from localmind.catalog.chunks import batched
from localmind.catalog.database import Database
from localmind.catalog.sources import Revision
from localmind.catalog.tables import job
from localmind.errors import NotFound
from localmind.ids import random_id
from localmind.model import Job, JobId, JobStatus, ListPage, SourceId, Stage, TenantId

INTERACTIVE, BULK = 10, 20
"""Priorities; lower goes first."""

CLAIM_BYTES = 1_000_000
"""Files beyond the first that a worker takes at once: it can begin with all of them soon."""

OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)

state = sa.func.coalesce(job.c.status, "")
"""The status where rows are looked up by something else: by a bare one SQLite would read all queued jobs for it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker has, and how often one was begun or went wrong before.

    is_first: nobody can have written anything of it yet. is_cancelled: it is only to be cleared up. revision: its source's content;
    None for a delete, and where it is gone since a newer version was shown.
    """

    job: Job
    attempts: int
    failures: int
    is_first: bool
    is_cancelled: bool
    revision: Revision | None = None


class JobTable:
    def __init__(self, database: Database) -> None:
        self._db = database
        self._tenants_after = ""

    def add(self, tenant: TenantId, rows: Sequence[tuple[str, SourceId, int, int]]) -> list[JobId]:
        """Queue (kind, source, version, priority) each, for the request of this context; ids in order."""
        now, actor = time.time(), current()
        ids = sorted(random_id() for _ in rows)  # within a millisecond they come in no order, and the first is worked first
        values = [
            {
                "id": id_,
                "tenant": tenant,
                "kind": kind,
                "source_id": source_id,
                "version": version,
                "status": JobStatus.QUEUED,
                "progress": 0.0,
                "request_id": actor.request_id,
                "traceparent": actor.traceparent,
                "attempts": 0,
                "failures": 0,
                "priority": priority,
                "cancel": False,
                "run_after": 0.0,
                "created_at": now,
                "updated_at": now,
            }
            for id_, (kind, source_id, version, priority) in zip(ids, rows, strict=True)
        ]
        with self._db.write(tenant) as connection:
            connection.execute(sa.insert(job), values)
        return [JobId(id_) for id_ in ids]

    def get(self, tenant: TenantId, job_id: JobId) -> Job:
        """Raises NotFound."""
        with self._db.read(tenant) as connection:
            row = connection.execute(sa.select(job).where(job.c.id == job_id, job.c.tenant == tenant)).one_or_none()
        if row is None:
            raise NotFound(f"There is no job {job_id!r}.", hint="GET /api/v1/jobs lists them.")
        return to_job(row)

    def page(
        self, tenant: TenantId, *, status: JobStatus | None, source_id: SourceId | None, limit: int, cursor: str | None
    ) -> ListPage[Job]:
        """Newest first. Raises BadCursor."""
        query = sa.select(job).where(job.c.tenant == tenant).order_by(job.c.id.desc()).limit(limit + 1)
        if status is not None:
            query = query.where(state == status)
        if source_id is not None:
            query = query.where(job.c.source_id == source_id)
        if cursor:
            query = query.where(job.c.id < cursors.decode(cursor, str)[0])
        with self._db.read(tenant) as connection:
            rows = connection.execute(query).all()
        items = tuple(to_job(row) for row in rows[:limit])
        return ListPage(items, cursors.encode(items[-1].id) if len(rows) > limit else None)

    def claim(self, worker: str, *, limit: int, lease_s: float, max_bytes: int = CLAIM_BYTES) -> list[Claim]:
        """Take up to `limit` queued jobs whose time has come, one a source, tenants in turns, most urgent first.

        max_bytes: of their files, beyond the first one's. Each job's `owner` proves that this claim has it.
        """
        if not self._any_due():
            return []
        owner = f"{worker}.{random_id()[-8:]}"
        with self._db.write() as connection:
            self._db.hold("claim")  # of two jobs of one source, two workers must not take one each
            now = self._db.now()
            connection.execute(sa.update(job).where(*_due(now), job.c.run_after > 0).values(run_after=0))
            chosen, self._tenants_after = claims.find(connection, limit=limit, max_bytes=max_bytes, after=self._tenants_after)
            taken = connection.execute(
                sa.update(job)
                .where(job.c.id.in_(chosen), state == JobStatus.QUEUED)  # but what was cancelled meanwhile
                .values(
                    status=JobStatus.RUNNING,
                    stage=sa.func.coalesce(job.c.stage, Stage.READ),  # a mark that it was begun
                    owner=owner,
                    lease_until=now + lease_s,
                    attempts=job.c.attempts + 1,
                    updated_at=now,
                )
                .returning(*job.c)
            )
            rows = {row.id: row for row in taken}
        return [_claim(rows[id_]) for id_ in chosen if id_ in rows]

    def _any_due(self) -> bool:
        with self._db.read() as connection:
            return connection.execute(sa.select(job.c.id).where(*_due(self._db.now())).limit(1)).first() is not None

    # --- what only a job's owner may do; a worker that lost its lease changes nothing

    def confirm(self, jobs: Iterable[Job]) -> set[JobId]:
        """Those that their owners still have. Inside write() nobody takes them until the transaction's end."""
        owners = {each.id: each.owner for each in jobs}
        if not owners:
            return set()
        query = sa.select(job.c.id, job.c.owner).where(job.c.id.in_(sorted(owners)), state == JobStatus.RUNNING)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(job.c.id).with_for_update())
            return {row.id for row in rows if row.owner == owners[row.id]}

    def heartbeat(self, jobs: Sequence[Job], *, lease_s: float) -> set[JobId]:
        """Keep the leases; returns those that their owners still have."""
        with self._db.write() as connection:
            held = self.confirm(jobs)
            if held:
                until = self._db.now() + lease_s
                connection.execute(sa.update(job).where(job.c.id.in_(sorted(held))).values(lease_until=until))
        return held

    def progress(self, updates: Sequence[tuple[Job, str, float]], *, got_on: bool = False) -> None:
        """Stage and progress of jobs. got_on: something durable was done, so a later crash is not this job's fault."""
        if not updates:
            return
        now = time.time()
        values: list[dict[str, Any]] = [
            {"b_id": each.id, "b_owner": each.owner, "b_stage": stage, "b_progress": progress, "b_now": now}
            for each, stage, progress in sorted(updates, key=lambda update: update[0].id)
        ]
        with self._db.write() as connection:
            connection.execute(GOT_ON if got_on else PROGRESS, values)

    def finish(self, jobs: Sequence[Job], status: JobStatus, *, error: Mapping[str, Any] | None = None) -> None:
        if not jobs:
            return
        changes: dict[str, Any] = {"status": status, "error": error, "owner": None, "lease_until": None, "updated_at": time.time()}
        if status is JobStatus.SUCCEEDED:
            changes |= {"progress": 1.0}
        with self._db.write() as connection:
            connection.execute(sa.update(job).where(*_had(jobs)).values(changes))

    def set_usage(self, which: Job, usage: Mapping[str, Any]) -> None:
        """What an LLM cost it so far, over all its attempts."""
        with self._db.write() as connection:
            connection.execute(sa.update(job).where(*_had([which])).values(usage=dict(usage)))

    def postpone(self, which: Job, *, delay_s: float, error: Mapping[str, Any], count: bool = True) -> None:
        """Queue it again for later, with the error that it met. count=False: that was not the job's fault."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(job)
                .where(*_had([which]))
                .values(
                    status=JobStatus.QUEUED,
                    owner=None,
                    lease_until=None,
                    run_after=self._db.now() + delay_s,
                    error=error,
                    failures=job.c.failures + int(count),
                    attempts=job.c.attempts - int(not count),
                    updated_at=time.time(),
                )
            )

    # --- what anybody may do

    def release_lost(self, *, everything: bool = False) -> int:
        """Queue again what a worker left behind: its lease is over, or (everything) no worker can be alive."""
        lost = sa.select(job.c.id).where(job.c.status == JobStatus.RUNNING)
        if not everything:
            lost = lost.where(job.c.lease_until < self._db.now())
        # Whoever has such a row locked is its owner, and alive.
        query = sa.update(job).where(job.c.id.in_(lost.with_for_update(skip_locked=True)))
        with self._db.write() as connection:
            return int(connection.execute(query.values(status=JobStatus.QUEUED, owner=None, lease_until=None)).rowcount)

    def release(self, worker: str) -> None:
        """The worker stops: what it had not finished is queued again."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(job)
                .where(job.c.status == JobStatus.RUNNING, job.c.owner.startswith(f"{worker}."))
                .values(status=JobStatus.QUEUED, owner=None, lease_until=None)
            )

    def failures(self, job_id: JobId) -> int:
        """Errors worth a retry that the job met so far."""
        with self._db.read() as connection:
            return int(connection.execute(sa.select(job.c.failures).where(job.c.id == job_id)).scalar_one())

    def requeue(self, tenant: TenantId, job_id: JobId) -> bool:
        """A person wants a job that failed or was cancelled tried again: as new. False where it is neither (any more)."""
        with self._db.write(tenant) as connection:
            done = connection.execute(
                sa.update(job)
                .where(job.c.id == job_id, job.c.tenant == tenant, job.c.status.in_((JobStatus.FAILED, JobStatus.CANCELLED)))
                .values(
                    status=JobStatus.QUEUED,
                    error=None,
                    request_id=current().request_id,
                    traceparent=current().traceparent,
                    attempts=0,
                    failures=0,
                    cancel=False,
                    progress=0.0,
                    run_after=0,
                    updated_at=time.time(),
                )
            )
        return bool(done.rowcount)

    def ask_cancel(self, tenant: TenantId, *, source_id: SourceId | None = None, job_id: JobId | None = None) -> None:
        """Jobs that were never begun end now; others by a worker, which clears up what they wrote: a running one at its next step."""
        which = [job.c.tenant == tenant, job.c.kind == "ingest"]
        which += [job.c.source_id == source_id] if source_id is not None else []
        which += [job.c.id == job_id] if job_id is not None else []
        ended = sa.case((sa.and_(job.c.status == JobStatus.QUEUED, job.c.stage.is_(None)), JobStatus.CANCELLED.value), else_=job.c.status)
        changes = {"status": ended, "cancel": True, "run_after": 0, "updated_at": time.time()}
        with self._db.write(tenant) as connection:  # one statement: between two, a job could go from the one state to the other
            connection.execute(sa.update(job).where(*which, state.in_(OPEN)).values(changes))

    def cancelled(self, ids: Sequence[JobId]) -> set[JobId]:
        """Those of the jobs that someone wants stopped."""
        with self._db.read() as connection:
            return set(connection.execute(sa.select(job.c.id).where(job.c.id.in_(ids), job.c.cancel)).scalars())

    def open_among(self, tenant: TenantId, sources: Sequence[SourceId]) -> set[SourceId]:
        """Those of the sources that a job still works on or will."""
        found: set[SourceId] = set()
        with self._db.read(tenant) as connection:
            for batch in batched(sources):
                which = (job.c.tenant == tenant, job.c.source_id.in_(batch), state.in_(OPEN))
                found |= set(connection.execute(sa.select(job.c.source_id).where(*which)).scalars())
        return found

    def open_sources(self) -> set[SourceId]:
        """Sources that a job still works on or will."""
        with self._db.read() as connection:
            return set(connection.execute(sa.select(job.c.source_id).where(job.c.status.in_(OPEN)).distinct()).scalars())

    def is_open(self, tenant: TenantId, source: SourceId) -> bool:
        """Whether a job still works on the source or will."""
        which = (job.c.tenant == tenant, job.c.source_id == source, state.in_(OPEN))
        with self._db.read(tenant) as connection:
            return connection.execute(sa.select(job.c.id).where(*which).limit(1)).first() is not None

    def counts(self, tenant: TenantId | None = None) -> dict[str, int]:
        query = sa.select(job.c.status, sa.func.count()).group_by(job.c.status)
        if tenant is not None:
            query = query.where(job.c.tenant == tenant)
        with self._db.read(tenant) as connection:
            found = {str(status): int(count) for status, count in connection.execute(query)}
        return {status.value: found.get(status.value, 0) for status in JobStatus}


PROGRESS = (
    sa.update(job)
    .where(job.c.id == sa.bindparam("b_id"), job.c.owner == sa.bindparam("b_owner"), job.c.status == JobStatus.RUNNING)
    .values(stage=sa.bindparam("b_stage"), progress=sa.bindparam("b_progress"), updated_at=sa.bindparam("b_now"))
)
GOT_ON = PROGRESS.values(attempts=1, failures=0)


def _due(now: sa.ColumnElement[float]) -> tuple[sa.ColumnElement[bool], ...]:
    return job.c.status == JobStatus.QUEUED, job.c.run_after <= now


def _had(jobs: Sequence[Job]) -> tuple[sa.ColumnElement[bool], ...]:
    """That the jobs are still in the hands of those who claimed them so."""
    owners = {each.owner for each in jobs if each.owner is not None}
    return job.c.id.in_([each.id for each in jobs]), state == JobStatus.RUNNING, job.c.owner.in_(owners)


def _claim(row: Any) -> Claim:
    is_first = row.attempts == 1 and row.error is None and row.stage == Stage.READ
    return Claim(to_job(row), row.attempts, row.failures, is_first, row.cancel)


def to_job(row: Any) -> Job:
    values: dict[str, Any] = {
        "id": row.id,
        "tenant": row.tenant,
        "kind": row.kind,
        "status": JobStatus(row.status),
        "created_at": datetime.fromtimestamp(row.created_at, UTC),
        "updated_at": datetime.fromtimestamp(row.updated_at, UTC),
        "source_id": row.source_id,
        "version": row.version,
        "stage": row.stage,
        "progress": row.progress,
        "error": row.error,
        "usage": row.usage,
        "attempts": row.attempts,
        "owner": row.owner,
        "request_id": row.request_id,
        "traceparent": row.traceparent,
    }
    return Job(**values)
