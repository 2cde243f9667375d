"""What tenants let go of in time, and what of theirs is that old."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from localmind.catalog.audit_tables import consent, retention
from localmind.catalog.database import Database
from localmind.catalog.people import in_tenant
from localmind.catalog.tables import conversation, message, source
from localmind.model import SourceId, TenantId

if TYPE_CHECKING:
    from localmind.accounts.model import UserId

BATCH = 100
USED_EVERY_S = 86_400
"""When a document was last used is written no oftener."""


@dataclass(frozen=True, slots=True)
class Rules:
    """In days; None: never. documents: since their last version. unused: since they were last found or cited, and no sooner than so
    long after the rule was set. conversations: since the last message.
    """

    documents_days: int | None = None
    unused_days: int | None = None
    conversations_days: int | None = None
    audit_days: int | None = None


class Kept(NamedTuple):
    rules: Rules
    changed_at: float


class RetentionTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, tenant: TenantId) -> Kept | None:
        with self._db.read(tenant) as connection:
            row = connection.execute(sa.select(retention).where(retention.c.tenant == tenant)).mappings().one_or_none()
        return None if row is None else _kept(row)

    def all(self) -> list[tuple[TenantId, Kept]]:
        """Of all tenants: for upkeep."""
        with self._db.read() as connection:
            return [(TenantId(row["tenant"]), _kept(row)) for row in connection.execute(sa.select(retention)).mappings()]

    def put(self, tenant: TenantId, rules: Rules) -> None:
        values = {**asdict(rules), "changed_at": self._db.now()}
        insert = self._db.insert(retention).values(tenant=tenant, **values)
        with self._db.write(tenant) as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["tenant"], set_=values))

    def old_documents(self, tenant: TenantId, since: str, *, before: float, after: SourceId) -> list[tuple[TenantId, SourceId]]:
        """Some in any space of the tenant, each with its space, in the order of their ids. The product's own guides stay, and what came
        out of another document goes with it. since: updated_at, or used_at, which is updated_at where it is missing.
        """
        at = source.c.updated_at if since == "updated_at" else sa.func.coalesce(source.c.used_at, source.c.updated_at)
        query = sa.select(source.c.tenant, source.c.id).where(
            in_tenant(source, tenant), at < before, source.c.deleted_at.is_(None), source.c.parent_id.is_(None), source.c.kind != "guide"
        )
        query = query.where(source.c.id > after).order_by(source.c.id)
        with self._db.read() as connection:
            return [(TenantId(row.tenant), SourceId(row.id)) for row in connection.execute(query.limit(BATCH))]

    def drop_conversations(self, tenant: TenantId, *, before: float) -> int:
        old = in_tenant(conversation, tenant) & (conversation.c.updated_at < before)
        with self._db.write() as connection:
            connection.execute(sa.delete(message).where(message.c.conversation_id.in_(sa.select(conversation.c.id).where(old))))
            return int(connection.execute(sa.delete(conversation).where(old)).rowcount)

    def used(self, tenant: TenantId, ids: Collection[SourceId]) -> None:
        """They were found or cited."""
        now = self._db.now()
        stale = source.c.used_at.is_(None) | (source.c.used_at < now - USED_EVERY_S)
        mine = (source.c.tenant == tenant) & source.c.id.in_(sorted(ids)) & stale
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(source).where(mine).values(used_at=now))

    # --- consents

    def consented(self, user_id: UserId, version: str) -> bool:
        """Keeps it; whether it was not there before."""
        row = {"user_id": user_id, "version": version, "accepted_at": self._db.now()}
        with self._db.write() as connection:
            put = self._db.insert(consent).values(row).on_conflict_do_nothing().returning(consent.c.version)
            return connection.execute(put).one_or_none() is not None


def _kept(row: Any) -> Kept:
    return Kept(Rules(**{name: row[name] for name in Rules.__dataclass_fields__}), row["changed_at"])
