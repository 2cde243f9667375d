"""Who is there: each process of a fleet says every few seconds that it is alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.tables import worker

FORGET_S = 86_400
"""What was not seen for so long is not remembered."""


@dataclass(frozen=True, slots=True)
class Worker:
    """queues: what it works off; none for a backend."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    started_at: datetime
    seen_at: datetime


class WorkerTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def beat(self, worker_id: str, *, queues: Sequence[str]) -> None:
        """This process, as worker_id, is alive. Drops those that were not seen for a day."""
        now = self._db.now()
        row = {"id": worker_id, "host": socket.gethostname(), "pid": os.getpid(), "queues": list(queues), "started_at": now, "seen_at": now}
        insert = self._db.insert(worker).values(row)
        with self._db.write() as connection:
            connection.execute(sa.delete(worker).where(worker.c.seen_at < now - FORGET_S))
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))

    def leave(self, worker_id: str) -> None:
        with self._db.write() as connection:
            connection.execute(sa.delete(worker).where(worker.c.id == worker_id))

    def alive(self, *, since: float | None = None, within_s: float | None = None) -> list[Worker]:
        """Processes seen since a time (seconds since 1970), or within the last seconds; the newest first."""
        query = sa.select(worker).order_by(worker.c.started_at.desc())
        if since is not None:
            query = query.where(worker.c.seen_at >= since)
        if within_s is not None:
            query = query.where(worker.c.seen_at >= self._db.now() - within_s)
        with self._db.read() as connection:
            return [_worker(row) for row in connection.execute(query)]


def _worker(row: Any) -> Worker:
    started, seen = (datetime.fromtimestamp(seconds, UTC) for seconds in (row.started_at, row.seen_at))
    return Worker(row.id, row.host, row.pid, tuple(row.queues), started, seen)
