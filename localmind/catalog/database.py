"""One way into the catalog's database: short reads, and writes that join the transaction they stand in."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from localmind.errors import CorruptIndex, DiskFull, StoreUnavailable

BUSY_TIMEOUT_S = 60
"""SQLite: longest wait for another writer."""


class Database:
    """An engine and the transaction of the current context.

    `write()` inside `write()` is one transaction, so that the text index and the graph, where they live in the catalog,
    commit with the rows they index.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.engine = _create(self.url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._current: ContextVar[sa.Connection | None] = ContextVar("transaction", default=None)
        # SQLite has one writer: queueing here is fair and free, its own busy wait sleeps and starves.
        self._writer = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Each statement sees what is committed; inside write() also what that transaction wrote."""
        current = self._current.get()
        if current is not None:
            yield current
            return
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Commits at the end, rolls back on an exception. Durable on return."""
        current = self._current.get()
        if current is not None:
            yield current
            return
        with _translated(), self._alone(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            token = self._current.set(connection)
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            finally:
                self._current.reset(token)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        with self._writer:
            yield


def sqlite_url(path: Path) -> str:
    return sa.URL.create("sqlite+pysqlite", database=str(path)).render_as_string()


def _create(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True)
    engine = sa.create_engine(url, pool_size=10, max_overflow=30, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun by hand, with BEGIN IMMEDIATE where they write
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a 202 survives a power cut
            "temp_store=MEMORY",
            "mmap_size=268435456",
            "cache_size=-65536",
            "journal_size_limit=8388608",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turns the driver's errors into ours."""
    try:
        yield
    except exc.DBAPIError as error:
        text = str(error.orig)
        if "disk is full" in text or "disk I/O error" in text:
            raise DiskFull("The catalog can't be written: the disk is full or broken.", hint="Free some space under DATA_DIR.") from error
        if "malformed" in text or "not a database" in text:
            raise CorruptIndex(
                f"The catalog is damaged: {text}.", hint="Restore it from a backup, or try `sqlite3 catalog.db .recover`."
            ) from error
        if isinstance(error, exc.OperationalError) or error.connection_invalidated:
            raise StoreUnavailable(f"The catalog does not answer: {text}.", service="catalog") from error
        raise
