"""PostgreSQL's second wall: a statement without a tenant sees and changes the rows of the one that its connection is for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from localmind.catalog import row_security
from localmind.catalog.account_tables import ACCOUNT_TABLES
from localmind.catalog.account_tables import space as SPACE
from localmind.catalog.audit import Event
from localmind.catalog.catalog import Catalog
from localmind.catalog.database import Database
from localmind.catalog.tables import conversation, metadata
from localmind.chat.conversations import Conversations
from localmind.errors import StoreUnavailable
from localmind.model import TenantId
from tests.postgresql_server import catalog_fixture, empty_fixture, server_fixture, template_fixture  # noqa: F401 - fixtures

pytestmark = pytest.mark.stack

ANN, BOB = TenantId("ann"), TenantId("bob")
TITLES = sa.select(conversation.c.title).order_by(conversation.c.title)
"""Names no tenant: what the wall is for."""


WITHOUT = {"job"}
"""Claims go over all tenants' jobs, and took three times as long behind the wall. A job holds ids and a state, no text."""


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    """One connection, which all take in turns, so that what the one was told could reach the next."""
    database = Database(postgresql_url, pool=1)
    for tenant in (ANN, BOB):
        Conversations(database).create(tenant, f"Of {tenant}")
    yield database
    database.close()


def seen(database: Database, tenant: TenantId | None) -> list[str]:
    with database.read(tenant) as connection:
        return list(connection.execute(TITLES).scalars())


def test_every_table_with_a_tenant_has_its_wall(database: Database) -> None:
    catalog = sa.text("""
        SELECT c.relname FROM pg_class AS c JOIN pg_policy AS p ON p.polrelid = c.oid
        WHERE c.relrowsecurity AND c.relforcerowsecurity AND p.polname = :policy AND p.polcmd = '*' AND p.polpermissive""")
    with database.read() as connection:
        walled = set(connection.execute(catalog, {"policy": row_security.POLICY}).scalars())
    assert ACCOUNT_TABLES, "importing them made them part of the metadata"
    assert walled == {name for name, table in metadata.tables.items() if "tenant" in table.c} - WITHOUT


def test_the_tests_do_not_run_as_somebody_whom_no_wall_holds(database: Database) -> None:
    with database.read() as connection:
        assert row_security.holds(connection)


def test_a_statement_without_a_tenant_reads_the_rows_of_its_connections(database: Database) -> None:
    assert seen(database, ANN) == ["Of ann"]
    assert seen(database, BOB) == ["Of bob"]
    assert seen(database, TenantId("nobody")) == []
    assert seen(database, None) == ["Of ann", "Of bob"]


def test_a_statement_without_a_tenant_changes_those_rows_alone(database: Database) -> None:
    with database.write(ANN) as connection:
        assert connection.execute(sa.update(conversation).values(title="Changed")).rowcount == 1
    with database.write(BOB) as connection:
        assert connection.execute(sa.delete(conversation)).rowcount == 1
    assert seen(database, None) == ["Changed"]


def test_nobody_writes_into_another_tenant(database: Database) -> None:
    row = {"id": "c1", "tenant": BOB, "title": "Planted", "created_at": 0.0, "updated_at": 0.0}
    with pytest.raises(sa.exc.ProgrammingError, match="row-level security"), database.write(ANN) as connection:
        connection.execute(sa.insert(conversation).values(row))
    with pytest.raises(sa.exc.ProgrammingError, match="row-level security"), database.write(ANN) as connection:
        connection.execute(sa.update(conversation).values(tenant=BOB))
    assert seen(database, None) == ["Of ann", "Of bob"]


def test_across_a_transaction_for_one_tenant_goes_over_all_and_back(database: Database) -> None:
    with database.write(ANN) as connection:
        with database.across():
            assert list(connection.execute(TITLES).scalars()) == ["Of ann", "Of bob"]
            assert seen(database, BOB) == ["Of ann", "Of bob"], "joins the transaction"
        assert list(connection.execute(TITLES).scalars()) == ["Of ann"]
    assert seen(database, BOB) == ["Of bob"]


def test_a_transaction_for_a_space_sees_the_quota_of_its_tenant_and_writes_its_audit(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    catalog = Catalog(database)
    row = {"id": "research", "tenant": ANN, "name": "Research", "restricted": False, "created_at": 0.0}
    space = TenantId("research")
    with database.write(ANN) as connection:
        connection.execute(sa.insert(SPACE).values(row))
    catalog.quotas.change(ANN, {"documents": 3})
    with catalog.alone(space):
        assert catalog.quotas.tenant_of(space) == ANN
        assert catalog.quotas.of(ANN) == {"documents": 3}
        catalog.audit.record(Event.DOCUMENT_INGESTED, space, sources=["s1"])
    assert [entry.event for entry in catalog.audit.page(ANN).items] == [Event.DOCUMENT_INGESTED]
    assert catalog.audit.verify(ANN).flaws == ()
    database.close()


def test_what_a_connection_was_told_ends_with_its_use(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write(ANN) as connection:
        connection.execute(TITLES)
        raise ZeroDivisionError
    assert seen(database, BOB) == ["Of bob"]
    with pytest.raises(sa.exc.ProgrammingError), database.read(ANN) as connection:
        connection.execute(sa.text("SELECT nothing FROM nowhere"))
    assert seen(database, None) == ["Of ann", "Of bob"]


def test_many_threads_see_each_what_is_theirs(postgresql_url: str, database: Database) -> None:
    shared = Database(postgresql_url, pool=3)
    try:
        with ThreadPoolExecutor(8) as threads:
            turns = [tenant for _ in range(100) for tenant in (ANN, BOB)]
            assert list(threads.map(lambda tenant: seen(shared, tenant), turns)) == [[f"Of {tenant}"] for tenant in turns]
    finally:
        shared.close()


def test_a_connection_that_the_server_ended_is_replaced_and_told_anew(database: Database, postgresql_url: str) -> None:
    assert seen(database, ANN) == ["Of ann"]
    other = Database(postgresql_url, pool=1)
    others = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with other.read() as connection:
        connection.execute(others)
    other.close()
    assert seen(database, BOB) == ["Of bob"]


def test_a_session_that_says_nothing_sees_all(database: Database, postgresql_url: str) -> None:
    """psql, pg_dump, a backend of an older version: an empty catalog would harm more than it guards."""
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert list(connection.execute(TITLES).scalars()) == ["Of ann", "Of bob"]
        connection.execute(sa.text("SELECT set_config('localmind.tenant', 'ann', false)"))
        connection.execute(sa.text("RESET localmind.tenant"))
        assert list(connection.execute(TITLES).scalars()) == ["Of ann", "Of bob"]


def test_a_server_that_is_not_there_is_told_as_before() -> None:
    away = Database("postgresql+psycopg://localmind:x@127.0.0.1:9/localmind", pool=1)
    with pytest.raises(StoreUnavailable):
        seen(away, ANN)
    away.close()
