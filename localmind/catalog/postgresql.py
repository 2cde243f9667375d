"""PostgreSQL through psycopg 3: connections that give up on a server that hangs, and its errors in our words."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from localmind.catalog import row_security
from localmind.errors import ConfigurationError, DiskFull, InvalidInput, LocalMindError, MissingExtra, StoreUnavailable

if TYPE_CHECKING:
    from psycopg import Connection

SERVICE = "postgresql"

CONNECT_TIMEOUT_S = 3
"""Longest wait for a connection; libpq counts whole seconds, from 2 on."""

SILENCE_S = 3.0
"""After so long without an answer the server is asked over a second connection whether it is there at all."""

STATEMENT_TIMEOUT_S = 30
"""Longest statement, waiting for locks included. The longest ones, deletes of 2,000 chunks, take about 0.2 s."""

IDLE_TIMEOUT_S = 60
"""A transaction whose process says nothing for so long (it is stopped, or cut off) is ended, and its locks with it."""

POOL_TIMEOUT_S = 10.0
"""Longest wait for a connection of the pool."""

KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""A connection that a router forgot is given up after half a minute."""

_FULL = "53100"


def create_engine(url: sa.URL, *, pool: int) -> sa.Engine:
    """pool: connections that are kept; as many again may be opened under load. Connects to nothing. Raises MissingExtra."""
    try:
        engine = sa.create_engine(
            url,
            pool_size=pool,
            max_overflow=pool,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,  # they hold documents' text, and errors are logged
            connect_args=_arguments(url),
        )
    except ModuleNotFoundError as error:
        raise MissingExtra("PostgreSQL needs psycopg.", hint="pip install 'localmind[servers]'") from error
    except exc.ArgumentError as error:
        raise ConfigurationError(
            "DATABASE_URL can't be read.", hint="Write it as postgresql+psycopg://USER:PASSWORD@HOST:5432/NAME."
        ) from error

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Connection[Any]:
        return _connection_class().connect(*args, **options)

    row_security.install(engine)
    return engine


def _arguments(url: sa.URL) -> dict[str, Any]:
    """What the URL does not say itself."""
    limits = {
        "statement_timeout": STATEMENT_TIMEOUT_S,
        "lock_timeout": STATEMENT_TIMEOUT_S,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S,
    }
    # No statement is long enough for PostgreSQL to compile it: where it did, a claim took 60 ms instead of 3.
    options = " ".join(["-c jit=off", *(f"-c {name}={seconds}s" for name, seconds in limits.items())])
    given = url.query.get("options", "")
    given = given if isinstance(given, str) else " ".join(given)
    defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "localmind"} | KEEPALIVE
    # The URL's own options come last, so that they win.
    return {name: value for name, value in defaults.items() if name not in url.query} | {"options": f"{options} {given}".strip()}


@lru_cache(maxsize=1)
def _connection_class() -> type[Connection[Any]]:
    import psycopg
    import psycopg.errors

    class PatientConnection(psycopg.Connection[Any]):
        """Waits for an answer as long as the server lives. The server's own time-outs do not help where the server hangs."""

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            if timeout is not None:
                return super().wait(gen, interval, timeout)
            while True:
                try:
                    return super().wait(gen, interval, SILENCE_S)
                except psycopg.errors._WaitTimeout as error:
                    if not self._is_served():
                        self.pgconn.finish()  # so that the pool forgets it, and its siblings
                        raise psycopg.OperationalError("it hangs") from error

        def _is_served(self) -> bool:
            """Whether the server takes connections: from this one a long statement and a server that hangs look the same."""
            try:
                psycopg.connect(self.info.dsn, password=self.info.password, connect_timeout=CONNECT_TIMEOUT_S).close()
            except psycopg.OperationalError as error:
                return "FATAL" in str(error)  # it refuses, in words (too many connections): it lives
            return True

    return PatientConnection


def translate(error: exc.SQLAlchemyError) -> LocalMindError | None:
    """Our error for the driver's; None where it is a fault of the program."""
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable("Every connection to PostgreSQL is in use.", hint="Raise DATABASE_POOL if that goes on.", service=SERVICE)
    if not isinstance(error, exc.DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    if state == _FULL:
        return DiskFull("PostgreSQL can't write: its disk is full.", hint="Free some space on PostgreSQL's server.")
    if isinstance(error, exc.DataError) and state is None:  # refused by the driver, before it was sent
        return InvalidInput("The text holds a NUL character.", hint="Send the text as clean UTF-8.")
    if isinstance(error, exc.OperationalError) or error.connection_invalidated:
        return StoreUnavailable(f"PostgreSQL does not answer: {_first_line(error.orig)}.", service=SERVICE)
    return None


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
