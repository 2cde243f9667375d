"""The PostgreSQL of the stack, as tests ask for it: a database of its own for each test, cloned from one that is migrated already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import pytest
import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.migrate import migrate
from localmind.ids import random_id

TRIES = 25


class Server:
    """Makes and drops databases."""

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self._engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._made: list[str] = []

    def create(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of another one."""
        name = f"test_{random_id()}"
        # Names stand in the statement: they are made here, and CREATE DATABASE takes no parameters.
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}" + (f" TEMPLATE {sa.make_url(template).database}" if template else ""))
        self._made.append(name)
        return self.url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        name = sa.make_url(url).database
        assert name in self._made
        drop = f"DROP DATABASE {name} WITH (FORCE)"
        with self._engine.connect() as connection:
            for _ in range(TRIES):
                with suppress(sa.exc.ProgrammingError):  # autovacuum is in it: only a superuser may end that, and it leaves by itself
                    connection.exec_driver_sql(drop)
                    return
                time.sleep(0.2)
            connection.exec_driver_sql(drop)


@pytest.fixture(scope="session", name="postgresql")
def server_fixture(stack: Mapping[str, str]) -> Server:
    return Server(stack["DATABASE_URL"])


@pytest.fixture(scope="session", name="migrated")
def template_fixture(postgresql: Server) -> Iterator[str]:
    """The URL of the database that others are copied from; nobody may be connected to it."""
    url = postgresql.create()
    database = Database(url)
    migrate(database)
    database.close()
    yield url
    postgresql.drop(url)


@pytest.fixture(name="postgresql_url")
def catalog_fixture(postgresql: Server, migrated: str) -> Iterator[str]:
    """A catalog of this test's own."""
    url = postgresql.create(migrated)
    yield url
    postgresql.drop(url)


@pytest.fixture(name="empty_url")
def empty_fixture(postgresql: Server) -> Iterator[str]:
    url = postgresql.create()
    yield url
    postgresql.drop(url)


Open = Callable[[], Database]
"""Connects to the test's catalog once more, as another process would."""
