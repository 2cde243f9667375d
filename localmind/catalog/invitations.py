"""Invitations into a tenant: one open a person, each good for one use."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.accounts.model import Invitation, InvitationId, Role, UserId
from localmind.catalog.account_tables import invitation
from localmind.catalog.accounts import moment
from localmind.catalog.database import Database
from localmind.model import TenantId


class Open(NamedTuple):
    """An invitation that holds, and into which tenant."""

    invitation: Invitation
    tenant: TenantId


class InvitationTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def put(
        self, tenant: TenantId, id_: InvitationId, *, email: str, role: Role, hash_: str, by: UserId | None, lasts_s: float
    ) -> Invitation:
        """In the place of an earlier one to the same address, whose token ends with that."""
        now = self._db.now()
        row = {
            "id": id_,
            "tenant": tenant,
            "email": email,
            "role": role.value,
            "hash": hash_,
            "invited_by": by,
            "created_at": now,
            "expires_at": now + lasts_s,
        }
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(invitation).where(invitation.c.tenant == tenant, invitation.c.email == email))
            return _invitation(connection.execute(sa.insert(invitation).values(row).returning(invitation)).one())

    def by_hash(self, hash_: str) -> Open | None:
        """The one with that token, if it has not expired. Asked without a tenant: the token says which."""
        query = sa.select(invitation).where(invitation.c.hash == hash_, invitation.c.expires_at > self._db.now())
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Open(_invitation(row), TenantId(row.tenant))

    def all(self, tenant: TenantId) -> list[Invitation]:
        """Those that hold, the oldest first."""
        query = sa.select(invitation).where(invitation.c.tenant == tenant, invitation.c.expires_at > self._db.now())
        with self._db.read(tenant) as connection:
            return [_invitation(row) for row in connection.execute(query.order_by(invitation.c.id))]

    def take(self, tenant: TenantId, id_: InvitationId) -> bool:
        """It is used up, or taken back. False where somebody was faster."""
        with self._db.write(tenant) as connection:
            return bool(connection.execute(sa.delete(invitation).where(invitation.c.tenant == tenant, invitation.c.id == id_)).rowcount)


def _invitation(row: Any) -> Invitation:
    return Invitation(InvitationId(row.id), row.email, Role(row.role), moment(row.created_at), moment(row.expires_at))
