"""The jobs table: what was accepted and how far it is. It is the truth; a queue in front of it only wakes workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from localmind.catalog import cursors
from localmind.catalog.database import Database
from localmind.catalog.tables import job
from localmind.errors import NotFound
from localmind.ids import random_id
from localmind.model import Job, JobId, JobStatus, ListPage, SourceId, TenantId

INTERACTIVE, BULK = 10, 20
"""Priorities; lower goes first."""

OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker has, and how often one was begun or went wrong before."""

    job: Job
    attempts: int
    failures: int


class JobTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: TenantId, rows: Sequence[tuple[str, SourceId, int, int]]) -> list[JobId]:
        """Queue (kind, source, version, priority) each; ids in order."""
        now = time.time()
        values = [
            {
                "id": random_id(),
                "tenant": tenant,
                "kind": kind,
                "source_id": source_id,
                "version": version,
                "status": JobStatus.QUEUED,
                "progress": 0.0,
                "attempts": 0,
                "failures": 0,
                "priority": priority,
                "cancel": False,
                "run_after": now,
                "created_at": now,
                "updated_at": now,
            }
            for kind, source_id, version, priority in rows
        ]
        with self._db.write() as connection:
            connection.execute(sa.insert(job), values)
        return [JobId(str(value["id"])) for value in values]

    def get(self, tenant: TenantId, job_id: JobId) -> Job:
        """Raises NotFound."""
        with self._db.read() as connection:
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
            query = query.where(job.c.status == status)
        if source_id is not None:
            query = query.where(job.c.source_id == source_id)
        if cursor:
            query = query.where(job.c.id < cursors.decode(cursor, str)[0])
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        items = tuple(to_job(row) for row in rows[:limit])
        return ListPage(items, cursors.encode(items[-1].id) if len(rows) > limit else None)

    def claim(self, owner: str, *, limit: int, lease_s: float) -> list[Claim]:
        """Take up to `limit` queued jobs whose time has come, one a source, most urgent first."""
        now = time.time()
        other = job.alias("other")
        busy = sa.exists().where(other.c.tenant == job.c.tenant, other.c.source_id == job.c.source_id, other.c.status == JobStatus.RUNNING)
        query = (
            sa.select(job)
            .where(job.c.status == JobStatus.QUEUED, job.c.run_after <= now, ~busy)
            .order_by(job.c.priority, job.c.id)
            .limit(limit)
        )
        with self._db.write() as connection:
            if not self._db.is_sqlite:
                query = query.with_for_update(skip_locked=True)
            first_of_source = {row.source_id: row for row in reversed(connection.execute(query).all())}
            rows = sorted(first_of_source.values(), key=lambda row: (row.priority, row.id))
            if rows:
                connection.execute(
                    sa.update(job)
                    .where(job.c.id.in_([row.id for row in rows]))
                    .values(status=JobStatus.RUNNING, owner=owner, lease_until=now + lease_s, attempts=job.c.attempts + 1, updated_at=now)
                )
        return [Claim(to_job(row, status=JobStatus.RUNNING), row.attempts + 1, row.failures) for row in rows]

    def heartbeat(self, owner: str, *, lease_s: float) -> None:
        with self._db.write() as connection:
            connection.execute(
                sa.update(job).where(job.c.owner == owner, job.c.status == JobStatus.RUNNING).values(lease_until=time.time() + lease_s)
            )

    def release_lost(self, *, everything: bool = False) -> int:
        """Queue again what a worker left behind: its lease is over, or (everything) no worker can be alive."""
        query = sa.update(job).where(job.c.status == JobStatus.RUNNING).values(status=JobStatus.QUEUED, owner=None, lease_until=None)
        if not everything:
            query = query.where(job.c.lease_until < time.time())
        with self._db.write() as connection:
            return int(connection.execute(query).rowcount)

    def release(self, owner: str) -> None:
        """The worker stops: what it had not finished is queued again, and that was nobody's fault."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(job)
                .where(job.c.owner == owner, job.c.status == JobStatus.RUNNING)
                .values(status=JobStatus.QUEUED, owner=None, lease_until=None, attempts=job.c.attempts - 1)
            )

    def failures(self, job_id: JobId) -> int:
        """Errors worth a retry that the job met so far."""
        with self._db.read() as connection:
            return int(connection.execute(sa.select(job.c.failures).where(job.c.id == job_id)).scalar_one())

    def progress(self, updates: Mapping[JobId, tuple[str, float]], *, got_on: bool = False) -> None:
        """Stage and progress of jobs. got_on: something durable was done, so a later crash is not this job's fault."""
        if not updates:
            return
        now = time.time()
        values: list[dict[str, Any]] = [
            {"b_id": key, "b_stage": stage, "b_progress": progress, "b_now": now} for key, (stage, progress) in updates.items()
        ]
        with self._db.write() as connection:
            connection.execute(GOT_ON if got_on else PROGRESS, values)

    def finish(self, ids: Sequence[JobId], status: JobStatus, *, error: Mapping[str, Any] | None = None) -> None:
        if not ids:
            return
        changes: dict[str, Any] = {"status": status, "error": error, "owner": None, "lease_until": None, "updated_at": time.time()}
        if status is JobStatus.SUCCEEDED:
            changes |= {"progress": 1.0}
        with self._db.write() as connection:
            connection.execute(sa.update(job).where(job.c.id.in_(ids)).values(changes))

    def postpone(self, job_id: JobId, *, delay_s: float, error: Mapping[str, Any], count: bool = True) -> None:
        """Queue it again for later, with the error that it met."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(job)
                .where(job.c.id == job_id)
                .values(
                    status=JobStatus.QUEUED,
                    owner=None,
                    lease_until=None,
                    run_after=time.time() + delay_s,
                    error=error,
                    failures=job.c.failures + int(count),
                    updated_at=time.time(),
                )
            )

    def requeue(self, tenant: TenantId, job_id: JobId) -> None:
        """A person wants it tried again: as new."""
        with self._db.write() as connection:
            connection.execute(
                sa.update(job)
                .where(job.c.id == job_id, job.c.tenant == tenant)
                .values(
                    status=JobStatus.QUEUED,
                    error=None,
                    attempts=0,
                    failures=0,
                    cancel=False,
                    progress=0.0,
                    run_after=time.time(),
                    updated_at=time.time(),
                )
            )

    def ask_cancel(self, tenant: TenantId, *, source_id: SourceId | None = None, job_id: JobId | None = None) -> None:
        """Queued jobs end now; running ones are asked to stop at their next step."""
        which = [job.c.tenant == tenant, job.c.kind == "ingest"]
        which += [job.c.source_id == source_id] if source_id is not None else []
        which += [job.c.id == job_id] if job_id is not None else []
        with self._db.write() as connection:
            connection.execute(
                sa.update(job)
                .where(*which, job.c.status == JobStatus.QUEUED)
                .values(status=JobStatus.CANCELLED, cancel=True, updated_at=time.time())
            )
            connection.execute(sa.update(job).where(*which, job.c.status == JobStatus.RUNNING).values(cancel=True))

    def cancelled(self, ids: Sequence[JobId]) -> set[JobId]:
        """Those of the jobs that someone wants stopped."""
        with self._db.read() as connection:
            return set(connection.execute(sa.select(job.c.id).where(job.c.id.in_(ids), job.c.cancel)).scalars())

    def open_sources(self) -> set[SourceId]:
        """Sources that a job still works on or will."""
        with self._db.read() as connection:
            return set(connection.execute(sa.select(job.c.source_id).where(job.c.status.in_(OPEN)).distinct()).scalars())

    def counts(self, tenant: TenantId | None = None) -> dict[str, int]:
        query = sa.select(job.c.status, sa.func.count()).group_by(job.c.status)
        if tenant is not None:
            query = query.where(job.c.tenant == tenant)
        with self._db.read() as connection:
            found = {str(status): int(count) for status, count in connection.execute(query)}
        return {status.value: found.get(status.value, 0) for status in JobStatus}


PROGRESS = (
    sa.update(job)
    .where(job.c.id == sa.bindparam("b_id"), job.c.status == JobStatus.RUNNING)
    .values(stage=sa.bindparam("b_stage"), progress=sa.bindparam("b_progress"), updated_at=sa.bindparam("b_now"))
)
GOT_ON = PROGRESS.values(attempts=1, failures=0)


def to_job(row: Any, **changes: Any) -> Job:
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
        "attempts": row.attempts,
    }
    return Job(**(values | changes))
