"""Migrations make what the tables say, and lookups find their rows by index."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from localmind.catalog.account_tables import account
from localmind.catalog.audit_tables import PRIVACY_TABLES
from localmind.catalog.chunks import VISIBLE
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.migrate import HEAD, SCRIPTS, migrate, revision
from localmind.errors import ConfigurationError


@pytest.fixture
def database(tmp_path: Path):
    database = Database(sqlite_url(tmp_path / "catalog.db"))
    migrate(database)
    yield database
    database.close()


def test_migrations_make_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), account.metadata)

    assert set(account.metadata.tables.values()) >= set(PRIVACY_TABLES)
    assert [each for each in differences if "chunk_fts" not in str(each)] == []
    assert ScriptDirectory(str(SCRIPTS)).get_current_head() == HEAD == revision(database)


def test_a_catalog_of_a_newer_version_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match="newer"):
        migrate(database)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT id FROM job WHERE tenant = 't' AND source_id = 's' AND COALESCE(status, '') = 'running'", "job_by_source"),
        ("SELECT 1 FROM revision WHERE tenant = 't' AND source_id = 's'", "revision_by_source"),
        ("SELECT 1 FROM revision WHERE tenant = 't' AND blob_key IN ('b')", "revision_by_blob"),
        ("SELECT 1 FROM revision WHERE tenant = 't' AND document_key IN ('b')", "revision_by_document"),
        ("SELECT 1 FROM source_tag WHERE tenant = 't' AND source_id = 's'", "source_tag_by_source"),
    ],
)
def test_a_lookup_of_one_source_reads_no_other_rows_of_its_tenant(database: Database, statement: str, index: str) -> None:
    with database.read() as connection:
        plan = " ".join(row.detail for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {statement}")))

    assert index in plan
    assert plan.count("=?") >= 2


def test_hits_are_looked_up_by_their_ids(database: Database) -> None:
    """Measured: from the tenant's sources on, a search at 50,000 sources took 70 ms longer."""
    statement = VISIBLE.params(ids=["a", "b"], tenant="t").compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.read() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]

    assert plan[0].startswith("SEARCH chunk USING INDEX sqlite_autoindex_chunk_1 (id=?)")
