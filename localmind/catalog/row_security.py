"""PostgreSQL's row-level security as a second wall: whoever takes a connection says for whom, and sees no other tenant's rows.

A wall against a statement that forgets its tenant. Not against who has the database's password: the setting is no secret, and a
session that never said for whom it is (psql, pg_dump, a backend of an older version) sees all rows, as it did before. Were it shown
none, a backup would be empty, and an old worker would take what the indexes hold for left over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from localmind.model import TenantId

SETTING = "localmind.tenant"
EVERY = "*"
"""No tenant's id: upkeep, logins, and what else goes over all tenants."""

POLICY = "of_its_tenant"

USED = "used"
"""A connection that answered before."""

_SAY = f"SELECT set_config('{SETTING}', %s, false)"
# In a subquery, which is evaluated once a statement and not once a row.
_SAID = f"(SELECT coalesce(nullif(current_setting('{SETTING}', true), ''), '{EVERY}'))"
ENABLE = (
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY {POLICY} ON {{table}} USING (tenant = {_SAID} OR {_SAID} = '{EVERY}')",
)
"""Of each table with a column `tenant`; what is written has to be the tenant's, too."""

_wanted: ContextVar[str] = ContextVar("tenant", default=EVERY)


def enable(connection: sa.Connection, table: str) -> None:
    """Put the wall around a table. For migrations."""
    for statement in ENABLE:
        connection.exec_driver_sql(statement.format(table=table))


def holds(connection: sa.Connection) -> bool:
    """Whether the role that we log in as stands before the wall: superusers, and who has BYPASSRLS, see all rows."""
    passes = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    return not connection.exec_driver_sql(passes).scalar_one()


def say(connection: sa.Connection, tenant: TenantId | None) -> None:
    """Inside a transaction, and until its end: for whom it goes on; None: for all."""
    connection.exec_driver_sql(f"SELECT set_config('{SETTING}', %s, true)", (EVERY if tenant is None else tenant,))


@contextmanager
def connect(engine: sa.Engine, tenant: TenantId | None) -> Iterator[sa.Connection]:
    """A connection that sees the tenant's rows alone; None: all."""
    token = _wanted.set(EVERY if tenant is None else tenant)
    try:
        connection = engine.connect()
    finally:
        _wanted.reset(token)
    with connection:
        yield connection


def install(engine: sa.Engine) -> None:
    """Have every connection told for whom it is when it is taken, which also shows whether it still works: one round trip for both."""

    @event.listens_for(engine, "checkout")
    def _say(connection: Any, record: Any, _proxy: Any) -> None:
        try:
            connection.autocommit = True
            connection.execute(_SAY, (_wanted.get(),))
            connection.autocommit = False
        except engine.dialect.loaded_dbapi.Error as error:
            if USED in record.info and engine.dialect.is_disconnect(error, connection, None):
                raise exc.InvalidatePoolError from error  # its siblings are as old: the pool makes new ones
            raise
        record.info[USED] = True
