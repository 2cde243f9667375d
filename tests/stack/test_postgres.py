"""What only a PostgreSQL that starts, stops and hangs shows."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import sqlalchemy as sa

from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.catalog.migrate import HEAD, migrate, revision
from localmind.catalog.tables import metadata
from localmind.errors import ConfigurationError, StoreUnavailable
from tests.postgresql_server import catalog_fixture, empty_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

pytestmark = pytest.mark.stack

SECONDS = 12
"""Within so long a caller is told that PostgreSQL does not answer."""


class Wire:
    """Stands between a client and PostgreSQL; can be cut (connections break, new ones are refused) and frozen (nothing passes)."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                if not select.select([listener], [], [], 0.1)[0]:
                    continue
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
            except (OSError, ValueError):
                return
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._flows.wait()
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire(postgresql_url: str) -> Iterator[Wire]:
    url = sa.make_url(postgresql_url)
    wire = Wire(url.host or "", url.port or 5432)
    yield wire
    wire.thaw()
    wire.cut()


@pytest.fixture
def catalog(postgresql_url: str, wire: Wire) -> Iterator[Catalog]:
    database = Database(sa.make_url(postgresql_url).set(port=wire.port).render_as_string(hide_password=False))
    yield Catalog(database)
    database.close()


def test_processes_that_start_at_once_make_the_tables_once(empty_url: str) -> None:
    def start(_: int) -> str | None:
        database = Database(empty_url)
        try:
            migrate(database)
            return revision(database)
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(start, range(6))) == [HEAD] * 6
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    made = set(sa.inspect(engine).get_table_names())
    assert made == set(metadata.tables) | {"alembic_version"}


def test_migrations_make_what_the_tables_say(postgresql_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def assert_is_given_up_in_time(catalog: Catalog) -> None:
    for act in (lambda: catalog.setting("x"), lambda: catalog.set_setting("x", 2)):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as raised:
            act()
        assert raised.value.data["service"] == "postgresql"
        assert time.monotonic() - began < SECONDS


def test_a_server_that_is_away_is_named_at_once_and_found_again(catalog: Catalog, wire: Wire) -> None:
    catalog.set_setting("x", 1)
    wire.cut()

    assert_is_given_up_in_time(catalog)

    wire.mend()
    assert catalog.setting("x") == 1


def test_a_server_that_hangs_is_given_up_within_seconds_and_found_again(catalog: Catalog, wire: Wire) -> None:
    catalog.set_setting("x", 1)
    wire.freeze()

    assert_is_given_up_in_time(catalog)

    wire.thaw()
    assert catalog.setting("x") in (1, 2)
    catalog.set_setting("x", 3)
    assert catalog.setting("x") == 3


def test_a_server_that_hangs_in_a_transaction_is_given_up_too(catalog: Catalog, wire: Wire) -> None:
    with pytest.raises(StoreUnavailable), catalog.database.write() as connection:
        connection.execute(sa.text("SELECT 1"))
        wire.freeze()
        connection.execute(sa.text("SELECT 1"))


def test_a_statement_that_takes_its_time_is_waited_for(catalog: Catalog) -> None:
    with catalog.database.read() as connection:
        assert connection.execute(sa.text("SELECT 7 FROM pg_sleep(4)")).scalar_one() == 7


def test_connections_are_bounded(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.catalog.postgresql.POOL_TIMEOUT_S", 0.2)
    database = Database(postgresql_url, pool=2)
    with ThreadPoolExecutor(4) as pool:
        inside, go = threading.Barrier(5), threading.Event()

        def use(_: int) -> None:
            with database.read():
                inside.wait(20)
                go.wait(20)

        users = [pool.submit(use, n) for n in range(4)]
        inside.wait(20)
        with pytest.raises(StoreUnavailable, match="in use"), database.read():
            pass
        go.set()
        for user in users:
            user.result()
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    database.close()


def test_a_wrong_address_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ConfigurationError):
        Database("postgresql+nothing://x/y")


def test_the_password_stands_in_no_error(postgresql_url: str) -> None:
    database = Database(sa.make_url(postgresql_url).set(password="not-the-one").render_as_string(hide_password=False))
    with pytest.raises(StoreUnavailable) as raised, database.read():
        pass
    assert "not-the-one" not in str(raised.value)
    database.close()
