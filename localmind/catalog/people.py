"""What the catalog holds on a person in a tenant, in all its spaces: to be handed out, and to be erased."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.accounts.model import UserId
from localmind.catalog.account_tables import account, api_key, invitation, membership, session, space, space_member
from localmind.catalog.audit_tables import consent, erasure
from localmind.catalog.database import Database
from localmind.catalog.tables import conversation, message, revision, source
from localmind.model import BlobKey, SourceId, TenantId

BATCH = 200


@dataclass(frozen=True, slots=True)
class Original:
    """A document that they added, and the file behind it; blob_key "" where it was never fetched."""

    space: TenantId
    id: SourceId
    facts: Mapping[str, Any]
    filename: str | None
    blob_key: BlobKey


class Erasure(NamedTuple):
    """One that was begun. is_over: nothing of theirs can come after it any more."""

    tenant: TenantId
    user_id: UserId
    documents: bool
    is_over: bool


class PersonTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- handing out

    def facts(self, tenant: TenantId, user_id: UserId) -> dict[str, Any]:
        """Account, membership, roles in spaces, keys, logins, consents and invitations sent; no hashes."""
        mine = {"tenant": tenant, "user_id": user_id}
        return {
            "account": self._one(_columns(account, "id", "email", "name", "created_at", "last_login_at"), account.c.id == user_id),
            "membership": self._one(_columns(membership, "tenant", "role", "disabled_at", "created_at"), _are(membership, **mine)),
            "spaces": self._all(_columns(space_member, "space_id", "role", "created_at"), _are(space_member, **mine)),
            "api_keys": self._all(
                _columns(api_key, "id", "name", "prefix", "scopes", "spaces", "created_at", "expires_at", "last_used_at"),
                _are(api_key, **mine),
            ),
            "sessions": self._all(_columns(session, "id", "created_at", "expires_at", "revoked_at"), _are(session, **mine)),
            "consents": self._all(_columns(consent, "version", "accepted_at"), consent.c.user_id == user_id),
            "invitations_sent": self._all(
                _columns(invitation, "email", "role", "created_at"), _are(invitation, tenant=tenant, invited_by=user_id)
            ),
        }

    def conversations(self, tenant: TenantId, user_id: UserId) -> Iterator[dict[str, Any]]:
        """Those that they began, whole, and of others' what they asked and were answered; one at a time."""
        theirs = sa.or_(
            conversation.c.user_id == user_id,
            sa.exists().where(message.c.conversation_id == conversation.c.id, message.c.user_id == user_id),
        )
        head = _columns(conversation, "id", "tenant", "title", "user_id", "created_at", "updated_at")
        for row in self._pages(head.where(in_tenant(conversation, tenant), theirs), conversation.c.id):
            said = _columns(message, "role", "text", "citations", "created_at").where(message.c.conversation_id == row["id"])
            began = row.pop("user_id") == user_id
            said = said if began else said.where(message.c.user_id == user_id)
            with self._db.read() as connection:
                messages = [dict(one) for one in connection.execute(said.order_by(message.c.ordinal)).mappings()]
            yield {**row, "began": began, "messages": messages}

    def documents(self, tenant: TenantId, user_id: UserId) -> Iterator[Original]:
        """What they added and is there, in the version that was put in last."""
        joined = source.join(revision, (revision.c.source_id == source.c.id) & (revision.c.version == source.c.latest))
        shown = ("id", "tenant", "title", "kind", "uri", "tags", "created_at", "updated_at")
        columns = [source.c[name] for name in shown] + [revision.c[name] for name in ("filename", "media_type", "size_bytes", "blob_key")]
        query = sa.select(*columns).select_from(joined)
        query = query.where(source.c.added_by == user_id, source.c.deleted_at.is_(None), in_tenant(source, tenant))
        for row in self._pages(query, source.c.id):
            facts = {name: value for name, value in row.items() if name != "blob_key"}
            yield Original(TenantId(row["tenant"]), SourceId(row["id"]), facts, row["filename"], BlobKey(row["blob_key"]))

    # --- erasing

    def begin_erasure(self, tenant: TenantId, user_id: UserId, *, documents: bool) -> None:
        row = {"tenant": tenant, "user_id": user_id, "documents": documents, "created_at": self._db.now()}
        insert = self._db.insert(erasure).values(row)
        with self._db.write(tenant) as connection:
            again = insert.on_conflict_do_update(index_elements=["tenant", "user_id"], set_={"documents": documents})
            connection.execute(again)

    def erasures(self, *, linger_s: float) -> list[Erasure]:
        """Those that were begun, but of who is a member again. Of all tenants: for upkeep."""
        is_back = sa.exists().where(membership.c.tenant == erasure.c.tenant, membership.c.user_id == erasure.c.user_id)
        over = (erasure.c.created_at < self._db.now() - linger_s).label("is_over")
        with self._db.write() as connection:
            connection.execute(sa.delete(erasure).where(is_back))
            rows = connection.execute(sa.select(erasure.c.tenant, erasure.c.user_id, erasure.c.documents, over)).all()
        return [Erasure(TenantId(row.tenant), UserId(row.user_id), bool(row.documents), bool(row.is_over)) for row in rows]

    def end_erasure(self, tenant: TenantId, user_id: UserId) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(erasure).where(_are(erasure, tenant=tenant, user_id=user_id)))

    def forget_invitations(self, tenant: TenantId, user_id: UserId, email: str) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(invitation).where(_are(invitation, tenant=tenant, email=email)))
            sent = sa.update(invitation).where(_are(invitation, tenant=tenant, invited_by=user_id))
            connection.execute(sent.values(invited_by=None))

    def forget_consents(self, user_id: UserId) -> None:
        """Where the account itself has gone."""
        is_there = sa.exists().where(account.c.id == user_id)
        with self._db.write() as connection:
            connection.execute(sa.delete(consent).where(consent.c.user_id == user_id, ~is_there))

    def forget_conversations(self, tenant: TenantId, user_id: UserId) -> None:
        """Those that they began, whole, and what they asked and were answered in others'."""
        begun = sa.select(conversation.c.id).where(conversation.c.user_id == user_id, in_tenant(conversation, tenant))
        with self._db.write() as connection:
            connection.execute(sa.delete(message).where(message.c.conversation_id.in_(begun)))
            connection.execute(sa.delete(message).where(message.c.user_id == user_id, in_tenant(message, tenant)))
            connection.execute(sa.delete(conversation).where(conversation.c.user_id == user_id, in_tenant(conversation, tenant)))

    def disown_documents(self, tenant: TenantId, user_id: UserId) -> None:
        """They stay, and nothing says who added them."""
        with self._db.write() as connection:
            connection.execute(sa.update(source).where(source.c.added_by == user_id, in_tenant(source, tenant)).values(added_by=None))

    def _one(self, query: sa.Select[Any], where: sa.ColumnElement[bool]) -> dict[str, Any] | None:
        return next(iter(self._all(query, where)), None)

    def _all(self, query: sa.Select[Any], where: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
        with self._db.read() as connection:
            return [dict(row) for row in connection.execute(query.where(where)).mappings()]

    def _pages(self, query: sa.Select[Any], key: sa.ColumnElement[str]) -> Iterator[dict[str, Any]]:
        """The rows in the order of a key that is selected as `id`, a batch at a time: no connection is held in between."""
        after = ""
        while True:
            with self._db.read() as connection:
                rows = connection.execute(query.where(key > after).order_by(key).limit(BATCH)).mappings().all()
            yield from (dict(row) for row in rows)
            if len(rows) < BATCH:
                return
            after = rows[-1]["id"]


def _columns(table: sa.Table, *names: str) -> sa.Select[Any]:
    return sa.select(*(table.c[name] for name in names))


def _are(table: sa.Table, **values: str) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in values.items()))


def in_tenant(table: sa.Table, tenant: TenantId) -> sa.ColumnElement[bool]:
    """Rows of the tenant's default space and of all its others, those that are being deleted too."""
    return sa.or_(table.c.tenant == tenant, table.c.tenant.in_(sa.select(space.c.id).where(space.c.tenant == tenant)))


def partitions(database: Database, tenant: TenantId) -> Sequence[TenantId]:
    """Its spaces, the default one last."""
    with database.read() as connection:
        return [*map(TenantId, connection.execute(sa.select(space.c.id).where(space.c.tenant == tenant)).scalars()), tenant]
