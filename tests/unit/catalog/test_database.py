"""SQLite's log: it may grow while documents are written, and is emptied at rest; processes that open a new file together wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from localmind.catalog.database import WAL_PAGES, Database, sqlite_url
from localmind.model import TenantId


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(path))
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE note (text BLOB)"))
    yield database
    database.close()


def fill(database: Database, rows: int) -> None:
    with database.write() as connection:
        connection.execute(sa.text("INSERT INTO note VALUES (randomblob(3000))"), [{} for _ in range(rows)])


def log_bytes(path: Path) -> int:
    return path.with_name("catalog.db-wal").stat().st_size


def test_the_log_grows_past_sqlites_own_limit_and_is_emptied_at_rest(database: Database, path: Path) -> None:
    for _ in range(3):
        fill(database, 1000)
    assert log_bytes(path) > 2 * 1000 * 4096 * 3 / 4
    assert database.fold()
    assert log_bytes(path) == 0


def test_the_log_does_not_grow_beyond_its_limit(database: Database, path: Path) -> None:
    for _ in range(6):
        fill(database, 2000)
    assert log_bytes(path) < (WAL_PAGES + 4000) * 4200


def test_a_reader_in_the_way_is_not_waited_for(database: Database, path: Path) -> None:
    fill(database, 10)
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT text FROM note"))
        rows.fetchone()
        assert not database.fold()
        assert len(rows.fetchall()) == 9
    assert database.fold()
    assert log_bytes(path) == 0


def test_a_transaction_for_one_tenant_is_not_joined_for_another(database: Database) -> None:
    ann, bob = TenantId("ann"), TenantId("bob")
    with database.write(ann), database.write(ann), database.read(ann), database.read():
        with pytest.raises(RuntimeError), database.read(bob):
            pass
        with pytest.raises(RuntimeError), database.write(bob):
            pass
    with database.write(), database.write(ann), database.read(bob):
        pass


def test_a_new_file_that_another_process_is_writing_is_waited_for(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE note (text BLOB)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO note VALUES ('hello')")
    database = Database(sqlite_url(path))

    def count() -> int:
        with database.read() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM note")).scalar_one())

    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(count)
        with pytest.raises(TimeoutError):
            counted.result(timeout=0.1)
        other.execute("COMMIT")
        assert counted.result() == 1
    database.close()
    other.close()
