"""One connection pool a process to Neo4j: managed transactions with time-outs, and its errors in our words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from localmind.errors import ConfigurationError, LocalMindError, MissingExtra, StoreUnavailable
from localmind.neo4j.schema import prepare
from localmind.versions import too_old

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Record, Session

T = TypeVar("T")
Work = Callable[["ManagedTransaction"], T]

SCHEMES = tuple(f"{protocol}{tls}" for protocol in ("bolt", "neo4j") for tls in ("", "+s", "+ssc"))

CONNECT_S = 3.0
"""Longest wait for a connection to be made; a server on the same network answers in milliseconds."""

WRITE_S = 60.0
"""Longest time of a write transaction, waiting for locks of others included; batches take well under a second."""

WRITE_RETRY_S = 30.0
"""How long a write is tried again where another had the locks (a deadlock), or the server changes over."""

READ_RETRY_S = 0.5
"""A read is tried once more on a fresh connection after a restart; a server that is away should not hold a search up."""

GRACE_S = 1.0
"""The server ends what takes too long; this much later it counts as frozen, and its connections are given up."""

RETRY_SCHEMA_S = 1.0
"""After the server could not be reached, calls fail at once for this long."""

# Another writer deleted, or made, between our looking and our writing: the same transaction again sees it.
_CHANGED_UNDER_US = frozenset(("Neo.ClientError.Statement.EntityNotFound", "Neo.ClientError.Schema.ConstraintValidationFailed"))
_OVERTAKEN = 5

_TIMED_OUT = "Neo.ClientError.Transaction.TransactionTimedOut"  # or ...ClientConfiguration
AWAY = "Neo4j does not answer."


class Neo4jDriver:
    """Thread-safe. Text and graph open and close it each; the last to close closes its connections.

    A call on a server that was away when it was opened opens it again. Every call may raise StoreUnavailable(service="neo4j").
    """

    def __init__(
        self,
        uri: str,
        user: str,
        password: str,
        *,
        database: str = "neo4j",
        pool: int = 50,
        timeout_s: float = 5.0,
        ca: Path | None = None,
    ) -> None:
        """pool: most connections. timeout_s: longest time of a read. ca: PEM file of the authority that signed the server's certificate."""
        self._uri, self._auth, self._database, self._ca = uri, (user, password), database, ca
        self._pool, self._timeout_s = pool, timeout_s
        self._lock = threading.Lock()
        self._users = 0
        self._driver: Driver | None = None
        self._is_prepared = False
        self._failed_at = -RETRY_SCHEMA_S
        self._threads: ThreadPoolExecutor | None = None

    @property
    def pool(self) -> int:
        return self._pool

    def open(self) -> None:
        """Connect and make what lacks of the schema. Raises ConfigurationError (credentials, certificate, schema of a newer version)."""
        self._users += 1
        try:
            self._ready(at_once=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._users = max(0, self._users - 1)
        if self._users == 0:
            self._give_up()

    def read(self, work: Work[T], *, timeout_s: float | None = None) -> T:
        """The work's answer, in a transaction that can't write."""
        limit_s = timeout_s or self._timeout_s

        def run() -> T:
            with self._session(READ_RETRY_S, writes=False) as session:
                return session.execute_read(_timed(work, limit_s))

        return self._bounded(run, CONNECT_S + limit_s + READ_RETRY_S)

    def write(self, work: Work[T]) -> T:
        """The work in one transaction. It may be run several times: where it met a deadlock, or lost its connection."""

        def run() -> T:
            for attempt in range(_OVERTAKEN + 1):
                try:
                    with self._session(WRITE_RETRY_S, writes=True) as session:
                        return session.execute_write(_timed(work, WRITE_S))
                except Exception as error:
                    if attempt == _OVERTAKEN or getattr(error, "code", None) not in _CHANGED_UNDER_US:
                        raise
            raise AssertionError

        return self._bounded(run, CONNECT_S + WRITE_S + WRITE_RETRY_S)

    def rows(self, statement: str, **values: Any) -> list[Record]:
        """All rows of one reading statement."""
        return self.read(lambda tx: rows(tx, statement, **values))

    def ping(self) -> None:
        """Raises StoreUnavailable where the server does not answer."""
        self.rows("RETURN 1")

    @contextmanager
    def _session(self, retry_s: float, *, writes: bool) -> Iterator[Session]:
        from neo4j import READ_ACCESS, WRITE_ACCESS

        with self._ready().session(
            database=self._database,
            default_access_mode=WRITE_ACCESS if writes else READ_ACCESS,
            max_transaction_retry_time=retry_s,
            initial_retry_delay=0.05,
        ) as session:
            yield session

    def _bounded(self, call: Callable[[], T], limit_s: float) -> T:
        """A server that is frozen keeps its connections open and says nothing; the driver itself would listen for two minutes."""
        from concurrent.futures import TimeoutError as Late

        with translated():
            self._ready()
            threads = self._threads
            assert threads is not None
            running = threads.submit(call)
            try:
                return running.result(limit_s + GRACE_S)
            except Late as error:
                if running.done():
                    raise
                self._give_up()
                raise StoreUnavailable(AWAY, hint=_HINT, service="neo4j") from error

    def _ready(self, *, at_once: bool = False) -> Driver:
        """The driver, its schema made."""
        driver = self._driver
        if driver is not None and self._is_prepared:
            return driver
        if not self._lock.acquire(timeout=self._timeout_s):
            raise StoreUnavailable(AWAY, hint=_HINT, service="neo4j")
        try:
            if self._driver is not None and self._is_prepared:
                return self._driver
            if not at_once and time.monotonic() - self._failed_at < RETRY_SCHEMA_S:
                raise StoreUnavailable(AWAY, hint=_HINT, service="neo4j")
            try:
                with translated(opening=at_once):
                    return self._prepared()
            except StoreUnavailable:
                self._failed_at = time.monotonic()
                raise
        finally:
            self._lock.release()

    def _prepared(self) -> Driver:
        self._driver = self._driver or self._made()
        self._threads = self._threads or ThreadPoolExecutor(self._pool, thread_name_prefix="neo4j")
        with self._driver.session(database=self._database, max_transaction_retry_time=2 * READ_RETRY_S) as session:
            prepare(session, wait_s=int(WRITE_S))
        self._is_prepared = True
        return self._driver

    def _made(self) -> Driver:
        try:
            from neo4j import GraphDatabase, TrustCustomCAs
        except ImportError as error:
            raise MissingExtra("Neo4j needs its driver.", hint="Install it: pip install 'localmind[servers]'.") from error
        uri = self._uri
        if uri.partition("://")[0] not in SCHEMES:
            raise ConfigurationError(f"NEO4J_URI is {uri!r}, which is no address of Neo4j.", hint="An example: bolt://127.0.0.1:7687.")
        tls: dict[str, Any] = {}
        if self._ca is not None:
            if not self._ca.is_file():
                raise ConfigurationError(f"TLS_CA_FILE {self._ca} is not a file.", hint="Set it to a file of certificates in PEM.")
            # The driver takes an authority only where the address does not name one's trust itself.
            uri = uri.replace("+ssc://", "://").replace("+s://", "://")
            tls = {"encrypted": True, "trusted_certificates": TrustCustomCAs(str(self._ca))}
        try:
            return GraphDatabase.driver(
                uri,
                auth=self._auth,
                user_agent="localmind",
                max_connection_pool_size=self._pool,
                connection_acquisition_timeout=max(self._timeout_s, CONNECT_S),
                connection_timeout=CONNECT_S,
                max_transaction_retry_time=WRITE_RETRY_S,
                keep_alive=True,
                notifications_min_severity="OFF",
                telemetry_disabled=True,
                **tls,
            )
        except (ValueError, OSError) as error:
            raise ConfigurationError(f"NEO4J_URI can't be used: {error}.", hint="An example: bolt://127.0.0.1:7687.") from error

    def _give_up(self) -> None:
        """Close every connection, those in use as well: who waits on one is woken."""
        driver, threads = self._driver, self._threads
        self._driver = self._threads = None
        self._is_prepared = False
        if driver is not None:
            driver.close()
        if threads is not None:
            threads.shutdown(wait=False)


_HINT = "Is it running at NEO4J_URI? docs/runbook/neo4j-unhealthy.md says what to do."


def rows(tx: ManagedTransaction, statement: str, **values: Any) -> list[Record]:
    """All rows of a statement within a transaction."""
    return list(tx.run(statement, values))


def _refused(*, opening: bool) -> LocalMindError:
    kind = ConfigurationError if opening else partial(StoreUnavailable, service="neo4j")
    return kind("Neo4j refuses NEO4J_USER and NEO4J_PASSWORD.", hint="Mend them in the environment or in .env.")


def _timed(work: Work[T], limit_s: float) -> Work[T]:
    from neo4j import unit_of_work

    return unit_of_work(timeout=limit_s)(work)


@contextmanager
def translated(*, opening: bool = False) -> Iterator[None]:
    """The driver's errors as ours. A statement that is wrong stays the driver's: it is a fault of this product.

    opening: a refused password is a wrong setting. Later on it has been changed, and may be changed back: a job waits for that.
    """
    from neo4j import exceptions as neo4j

    try:
        yield
    except neo4j.ConfigurationError as error:
        # To turn notifications off takes Bolt 5.2, of Neo4j 5.7: an older server is refused before it could say its version.
        if bolt := re.search(r"not supported for the Bolt Protocol (\d+\.\d+)", str(error)):
            raise too_old("Neo4j", f"is too old: it speaks Bolt {bolt[1]}") from error
        raise ConfigurationError(f"Neo4j can't be used as it is set: {error}.", hint="Look at NEO4J_URI and TLS_CA_FILE.") from error
    except neo4j.AuthError as error:
        raise _refused(opening=opening) from error
    except (neo4j.DriverError, neo4j.TransientError, neo4j.DatabaseError, OSError) as error:
        raise StoreUnavailable(AWAY, hint=_HINT, service="neo4j") from error
    except neo4j.ClientError as error:
        if error.code == "Neo.ClientError.Security.AuthenticationRateLimit":  # what it says from the fourth time on
            raise _refused(opening=opening) from error
        if error.code == "Neo.ClientError.Database.DatabaseNotFound":
            raise ConfigurationError(f"{error.message}", hint="Mend NEO4J_DATABASE.") from error
        if str(error.code).startswith("Neo.ClientError.Transaction."):
            raise StoreUnavailable(
                "Neo4j took too long.", hint=_HINT, service="neo4j", timed_out=str(error.code).startswith(_TIMED_OUT)
            ) from error
        raise
