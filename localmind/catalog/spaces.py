"""Spaces of a tenant, and who may do what in them. A tenant's default space has the tenant's own id, and no row."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.accounts.model import Role, SpaceMember, UserId
from localmind.catalog.account_tables import account, space, space_member
from localmind.catalog.accounts import moment
from localmind.catalog.database import Database
from localmind.model import TenantId


class SpaceRow(NamedTuple):
    """A space. mine: the role that was given there to whoever asks; None: none of its own."""

    id: TenantId
    name: str
    restricted: bool
    created_at: datetime
    mine: Role | None


class SpaceTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: TenantId, space_id: TenantId, *, name: str, restricted: bool) -> None:
        row = {"id": space_id, "tenant": tenant, "name": name, "restricted": restricted, "created_at": self._db.now()}
        with self._db.write(tenant) as connection:
            connection.execute(sa.insert(space).values(row))

    def all(self, tenant: TenantId, user_id: UserId | None) -> list[SpaceRow]:
        """Every space of the tenant but the default one, the oldest first, with the role of that user in it."""
        return self._rows(tenant, user_id, sa.true())

    def get(self, tenant: TenantId, space_id: TenantId, user_id: UserId | None) -> SpaceRow | None:
        return next(iter(self._rows(tenant, user_id, space.c.id == space_id)), None)

    def change(self, tenant: TenantId, space_id: TenantId, *, name: str, restricted: bool) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(space).where(self._is(tenant, space_id)).values(name=name, restricted=restricted))

    def mark_deleted(self, tenant: TenantId, space_id: TenantId) -> None:
        """From now on nobody enters it; what is in it is removed by and by."""
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(space).where(self._is(tenant, space_id)).values(deleted_at=self._db.now()))
            connection.execute(sa.delete(space_member).where(space_member.c.tenant == tenant, space_member.c.space_id == space_id))

    def deleted(self) -> list[tuple[TenantId, TenantId]]:
        """(tenant, space) of spaces that were deleted and may hold something still. Of all tenants: for upkeep."""
        query = sa.select(space.c.tenant, space.c.id).where(space.c.deleted_at.is_not(None)).order_by(space.c.id)
        with self._db.read() as connection:
            return [(TenantId(row.tenant), TenantId(row.id)) for row in connection.execute(query)]

    def drop(self, tenant: TenantId, space_id: TenantId, *, deleted_before_s: float) -> None:
        """Forget a space that was deleted so long ago."""
        long_ago = space.c.deleted_at < self._db.now() - deleted_before_s
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(space).where(space.c.tenant == tenant, space.c.id == space_id, long_ago))

    def members(self, tenant: TenantId, space_id: TenantId) -> list[SpaceMember]:
        """By address."""
        joined = space_member.join(account, account.c.id == space_member.c.user_id)
        query = sa.select(space_member.c.user_id, space_member.c.role, account.c.email, account.c.name).select_from(joined)
        query = query.where(space_member.c.tenant == tenant, space_member.c.space_id == space_id).order_by(account.c.email)
        with self._db.read(tenant) as connection:
            return [SpaceMember(UserId(row.user_id), row.email, row.name, Role(row.role)) for row in connection.execute(query)]

    def put_member(self, tenant: TenantId, space_id: TenantId, user_id: UserId, role: Role) -> None:
        row = {"tenant": tenant, "space_id": space_id, "user_id": user_id, "role": role.value, "created_at": self._db.now()}
        insert = self._db.insert(space_member).values(row)
        with self._db.write(tenant) as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "space_id", "user_id"], set_={"role": role.value}))

    def drop_member(self, tenant: TenantId, space_id: TenantId, user_id: UserId) -> bool:
        """Whether there was one."""
        where = (space_member.c.tenant == tenant) & (space_member.c.space_id == space_id) & (space_member.c.user_id == user_id)
        with self._db.write(tenant) as connection:
            return bool(connection.execute(sa.delete(space_member).where(where)).rowcount)

    def _rows(self, tenant: TenantId, user_id: UserId | None, where: sa.ColumnElement[bool]) -> list[SpaceRow]:
        mine = (space_member.c.tenant == space.c.tenant) & (space_member.c.space_id == space.c.id) & (space_member.c.user_id == user_id)
        query = sa.select(space, space_member.c.role).select_from(space.outerjoin(space_member, mine))
        query = query.where(space.c.tenant == tenant, space.c.deleted_at.is_(None), where).order_by(space.c.created_at, space.c.id)
        with self._db.read(tenant) as connection:
            return [_space(row) for row in connection.execute(query)]

    def _is(self, tenant: TenantId, space_id: TenantId) -> sa.ColumnElement[bool]:
        return (space.c.tenant == tenant) & (space.c.id == space_id) & space.c.deleted_at.is_(None)


def _space(row: Any) -> SpaceRow:
    mine = None if row.role is None else Role(row.role)
    return SpaceRow(TenantId(row.id), row.name, row.restricted, moment(row.created_at), mine)
