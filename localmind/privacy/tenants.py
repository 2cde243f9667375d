"""Deleting a tenant: out of every store. In an order that can be cut off anywhere and run again: the tenant's own row goes last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from localmind.catalog import tables
from localmind.catalog.account_tables import account, api_key, invitation, membership, refresh_token, session, space
from localmind.catalog.audit import Event
from localmind.catalog.audit_tables import consent
from localmind.catalog.people import partitions
from localmind.ingest.store import Store
from localmind.model import PERSONAL, TenantId

if TYPE_CHECKING:
    from localmind.communities.port import EntityNetwork

CREDENTIALS = (refresh_token, session, api_key, invitation, membership)


def delete_tenant(store: Store, network: EntityNetwork, tenant: TenantId, *, report: Callable[[str], None] = lambda _: None) -> None:
    """Nobody else works on the stores. Accounts that belong to no other tenant go too. Safe to run again after a kill."""
    database = store.catalog.database
    with database.write() as connection:  # first: nobody comes in any more
        for table in CREDENTIALS:
            _delete(connection, table, tenant)
    for partition in partitions(database, tenant):
        report(partition)
        _empty(store, network, partition)
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            for table in _of_a_partition():
                _delete(connection, table, partition)
    with database.write() as connection:
        connection.execute(sa.delete(space).where(space.c.tenant == tenant))
        connection.execute(sa.delete(tables.tenant).where(tables.tenant.c.id == tenant))
        _drop_accounts_of_nowhere(connection)
        store.catalog.audit.record(Event.ERASURE, PERSONAL, tenant=PERSONAL, deleted_tenant=tenant)


def _empty(store: Store, network: EntityNetwork, partition: TenantId) -> None:
    for key in list(store.blobs.keys(partition)):
        store.blobs.delete(partition, key)
    store.vectors.drop(partition)
    network.hide_all(partition)
    store.text.clear(partition)
    store.graph.clear(partition)


def _of_a_partition() -> list[sa.Table]:
    """Every table whose rows carry the partition; spaces and the tenant itself are needed to find the others, and go later."""
    return [table for table in tables.metadata.sorted_tables if "tenant" in table.c and table is not space]


def _delete(connection: sa.Connection, table: sa.Table, tenant: TenantId) -> None:
    connection.execute(sa.delete(table).where(table.c.tenant == tenant))


def _drop_accounts_of_nowhere(connection: sa.Connection) -> None:
    belongs: Any = sa.exists().where(membership.c.user_id == account.c.id)
    connection.execute(sa.delete(account).where(~belongs))
    connection.execute(sa.delete(consent).where(~sa.exists().where(account.c.id == consent.c.user_id)))
