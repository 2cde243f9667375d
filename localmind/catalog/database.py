"""One way into the catalog's database: short reads, and writes that join the transaction they stand in."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect

from localmind import deadline
from localmind.catalog import postgresql, row_security
from localmind.errors import CorruptIndex, DiskFull, InvalidInput, LocalMindError, StoreUnavailable
from localmind.model import TenantId

BUSY_TIMEOUT_S = 60
"""SQLite: longest wait for another writer."""

WAL_PAGES = 8000
"""SQLite: pages (of 4 KiB) in the log before a commit folds them into the file. A page of an index that many commits change is
written once then; SQLite's own 1,000 cost a tenth more of an ingest's CPU at 50,000 documents."""

POOL = 10
"""PostgreSQL: connections that a process keeps."""

HOLD = sa.text("SELECT pg_advisory_xact_lock(:key)")
SHARE = sa.text("SELECT pg_advisory_xact_lock_shared(:key)")

Insert = sqlite_dialect.Insert | postgresql_dialect.Insert


class _Transaction(NamedTuple):
    connection: sa.Connection
    tenant: TenantId | None


class Database:
    """An engine and the transaction of the current context.

    `write()` inside `write()` is one transaction, so that the text index and the graph, where they live in the catalog,
    commit with the rows they index.
    Both are told whose rows they are for, and PostgreSQL shows no others (row_security.py): a statement that forgets its tenant
    finds nothing of another's. Without one they are for whom the transaction around them is for, or for all tenants.
    """

    def __init__(self, url: str, *, pool: int = POOL) -> None:
        """pool: connections to a server that are kept; as many again may be opened under load."""
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _create_sqlite(self.url) if self.is_sqlite else postgresql.create_engine(self.url, pool=pool)
        # A read needs no transaction: that spares PostgreSQL two of three round trips.
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._current: ContextVar[_Transaction | None] = ContextVar("transaction", default=None)
        # SQLite has one writer: queueing here is fair and free, its own busy wait sleeps and starves.
        self._writer = threading.Lock()

    @contextmanager
    def read(self, tenant: TenantId | None = None) -> Iterator[sa.Connection]:
        """Each statement sees what is committed; inside write() also what that transaction wrote. Raises TimedOut."""
        current = self._joined(tenant)
        if current is not None:
            yield current
            return
        deadline.check()
        with self._translated(), self._connected(self._reader, tenant) as connection:
            yield connection

    @contextmanager
    def write(self, tenant: TenantId | None = None) -> Iterator[sa.Connection]:
        """Commits at the end, rolls back on an exception. Durable on return. Raises TimedOut, before it begins."""
        current = self._joined(tenant)
        if current is not None:
            yield current
            return
        deadline.check()
        with self._translated(), self._alone(), self._connected(self.engine, tenant) as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            token = self._current.set(_Transaction(connection, tenant))
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            finally:
                self._current.reset(token)

    @contextmanager
    def across(self) -> Iterator[None]:
        """What the block asks is for all tenants, also inside a transaction for one: a quota goes over a tenant's spaces, and its audit
        chain stands beside them.
        """
        current = self._current.get()
        if self.is_sqlite or current is None or current.tenant is None:
            yield
            return
        row_security.say(current.connection, None)
        token = self._current.set(_Transaction(current.connection, None))
        try:
            yield
        finally:
            self._current.reset(token)
        row_security.say(current.connection, current.tenant)  # not after an exception, which ends the transaction

    def _joined(self, tenant: TenantId | None) -> sa.Connection | None:
        """The transaction around, if there is one."""
        current = self._current.get()
        if current is None:
            return None
        if current.tenant is not None and tenant not in (None, current.tenant):
            raise RuntimeError("a transaction for one tenant was asked for another's rows")
        return current.connection

    def _connected(self, engine: sa.Engine, tenant: TenantId | None) -> AbstractContextManager[sa.Connection]:
        return engine.connect() if self.is_sqlite else row_security.connect(engine, tenant)

    def hold(self, name: str) -> None:
        """Inside write(): nobody else holds that name until the transaction's end, and what they committed before is seen.

        SQLite's writers queue anyway. Take it before anything else: two holders of several names must not wait for each other.
        """
        self._lock(HOLD, name)

    def share(self, name: str) -> None:
        """Inside write(): nobody holds that name until the transaction's end; any number share it."""
        self._lock(SHARE, name)

    def _lock(self, statement: sa.TextClause, name: str) -> None:
        current = self._current.get()
        if current is None:
            raise RuntimeError("hold() and share() stand inside write()")
        if not self.is_sqlite:
            key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
            current.connection.execute(statement, {"key": key})

    def insert(self, table: sa.Table) -> Insert:
        """An INSERT that can be told what to do on a conflict."""
        return sqlite_dialect.insert(table) if self.is_sqlite else postgresql_dialect.insert(table)

    def now(self) -> sa.ColumnElement[float]:
        """Seconds since 1970 by the one clock that all processes share: the server's, or this machine's."""
        if self.is_sqlite:
            return sa.literal(time.time(), sa.Float)
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)

    def fold(self) -> bool:
        """SQLite, at rest: fold the log into the file and empty it. False where a reader is in the way; waits for none."""
        if not self.is_sqlite:
            return True
        with self._translated(), self._writer, self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=0")
            try:
                is_busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
        return not is_busy

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns the driver's errors into ours."""
        try:
            yield
        except exc.SQLAlchemyError as error:
            ours = _translate_sqlite(error) if self.is_sqlite else postgresql.translate(error)
            if ours is None:
                raise
            raise ours from error
        except UnicodeEncodeError as error:
            raise InvalidInput("The text holds an incomplete character.", hint="Send the text as clean UTF-8.") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        with self._writer:
            yield


def sqlite_url(path: Path) -> str:
    return sa.URL.create("sqlite+pysqlite", database=str(path)).render_as_string()


def _create_sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=10,
        max_overflow=30,
        hide_parameters=True,  # they hold documents' text, and errors are logged
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun by hand, with BEGIN IMMEDIATE where they write
        _use_wal(connection)
        for pragma in (
            "synchronous=FULL",  # a 202 survives a power cut
            "temp_store=MEMORY",
            "mmap_size=268435456",
            "cache_size=-65536",
            "journal_size_limit=8388608",
            f"wal_autocheckpoint={WAL_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Of processes that open a new file together one turns it to WAL; SQLite fails the others at once, whatever the time-out.

    Source: https://sqlite.org/c3ref/busy_handler.html (no handler is called where waiting could be a deadlock).
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _translate_sqlite(error: exc.SQLAlchemyError) -> LocalMindError | None:
    """Our error for the driver's; None where it is a fault of the program."""
    if not isinstance(error, exc.DBAPIError):
        return None
    text = str(error.orig)
    if "disk is full" in text or "disk I/O error" in text:
        return DiskFull("The catalog can't be written: the disk is full or broken.", hint="Free some space under DATA_DIR.")
    if "malformed" in text or "not a database" in text:
        return CorruptIndex(f"The catalog is damaged: {text}.", hint="Restore it from a backup, or try `sqlite3 catalog.db .recover`.")
    if isinstance(error, exc.OperationalError) or error.connection_invalidated:
        return StoreUnavailable(f"The catalog does not answer: {text}.", service="catalog")
    return None
