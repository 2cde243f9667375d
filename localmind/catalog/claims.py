"""Which queued job is worked next: tenants take turns, the one with the fewest at work first, and each its most urgent, oldest first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from localmind.model import JobId, SourceId, TenantId

TENANTS = 500
"""Tenants that one claim looks at; where more wait, the next claim goes on after them. About 2 ms."""


class Candidate(NamedTuple):
    """A queued job. size_bytes: of its file."""

    tenant: TenantId
    id: JobId
    priority: int
    source_id: SourceId | None
    size_bytes: int


def find(connection: sa.Connection, *, limit: int, max_bytes: int, after: str) -> tuple[list[JobId], str]:
    """Up to `limit` jobs that may run now, one a source, none that would bring their files beyond max_bytes but the first.

    after: where the last claim ended its look at tenants; returned anew, "" for the beginning.
    """
    tenants = connection.execute(WAITING, {"after": after, "tenants": TENANTS}).all()
    if not tenants and after:
        return find(connection, limit=limit, max_bytes=max_bytes, after="")
    # Without a head all that a tenant has waits for jobs of the same sources.
    heads = [Candidate(*row) for row in connection.execute(HEADS, {"ids": [row.head for row in tenants if row.head is not None]})]
    running = {row.tenant: int(row.jobs) for row in connection.execute(RUNNING)}

    def queue_of(tenant: TenantId) -> list[Candidate]:
        return [Candidate(*row) for row in connection.execute(QUEUED, {"tenant": tenant, "limit": limit})]

    chosen = in_turns(heads, running, queue_of, limit=limit, max_bytes=max_bytes)
    return [each.id for each in chosen], tenants[-1].tenant if len(tenants) == TENANTS else ""


def in_turns(
    heads: Sequence[Candidate],
    running: Mapping[TenantId, int],
    queue_of: Callable[[TenantId], Sequence[Candidate]],
    *,
    limit: int,
    max_bytes: int,
) -> list[Candidate]:
    """heads: each tenant's most urgent job; queue_of: the tenant's jobs in order, asked for where one has a second turn."""
    turns = [_Turn(running.get(head.tenant, 0), head.priority, head.id, head.tenant, head) for head in heads]
    heapq.heapify(turns)
    queues: dict[TenantId, Iterator[Candidate]] = {}
    sources: set[tuple[TenantId, SourceId | None]] = set()
    chosen: list[Candidate] = []
    left = max_bytes
    while turns and len(chosen) < limit:
        at_work, priority, id_, tenant, item = heapq.heappop(turns)
        if item is None:
            if tenant not in queues:
                queues[tenant] = iter(queue_of(tenant))
            item = next((each for each in queues[tenant] if (tenant, each.source_id) not in sources), None)
            if item is not None:
                heapq.heappush(turns, _Turn(at_work, item.priority, item.id, tenant, item))
            continue
        left -= item.size_bytes if chosen else 0
        if left < 0:
            break
        chosen.append(item)
        sources.add((tenant, item.source_id))
        heapq.heappush(turns, _Turn(at_work + 1, priority, id_, tenant, None))
    return chosen


class _Turn(NamedTuple):
    """Sorts by who comes first. item: None where it is not known yet; it is no more urgent than the one before."""

    at_work: int
    priority: int
    id: JobId
    tenant: TenantId
    item: Candidate | None


# A scalar subquery, and COALESCE: both engines then read the few jobs of the source, and not all that wait or run.
_FREE = """
    AND (SELECT 1 FROM job AS other
        WHERE other.tenant = waits.tenant AND other.source_id = waits.source_id AND COALESCE(other.status, '') = 'running'
        LIMIT 1) IS NULL
    ORDER BY waits.priority, waits.id"""

# The next tenant is looked up, not counted: a tenant's ten thousand jobs cost as much as one.
_WAITING = """
WITH RECURSIVE waiting(tenant) AS (
    SELECT MIN(tenant) FROM job WHERE status = 'queued' AND run_after = 0 AND tenant > :after
    UNION ALL
    SELECT (SELECT MIN(job.tenant) FROM job WHERE status = 'queued' AND run_after = 0 AND job.tenant > waiting.tenant)
    FROM waiting WHERE waiting.tenant IS NOT NULL)
SELECT waiting.tenant, (
    SELECT waits.id FROM job AS waits WHERE waits.status = 'queued' AND waits.run_after = 0 AND waits.tenant = waiting.tenant<free>
    LIMIT 1) AS head
FROM waiting WHERE waiting.tenant IS NOT NULL LIMIT :tenants"""
WAITING = sa.text(_WAITING.replace("<free>", _FREE))

_CANDIDATE = """
SELECT waits.tenant, waits.id, waits.priority, waits.source_id, COALESCE(revision.size_bytes, 0)
FROM job AS waits LEFT JOIN revision ON revision.source_id = waits.source_id AND revision.version = waits.version
WHERE <which>"""
HEADS = sa.text(_CANDIDATE.replace("<which>", "waits.id IN :ids")).bindparams(sa.bindparam("ids", expanding=True, type_=sa.String))
_OF_TENANT = "waits.status = 'queued' AND waits.run_after = 0 AND waits.tenant = :tenant<free> LIMIT :limit"
QUEUED = sa.text(_CANDIDATE.replace("<which>", _OF_TENANT).replace("<free>", _FREE))

RUNNING = sa.text("SELECT tenant, COUNT(*) AS jobs FROM job WHERE status = 'running' GROUP BY tenant")
