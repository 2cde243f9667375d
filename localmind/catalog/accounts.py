"""Accounts and their places in tenants. The one store that is asked without a tenant: a login knows an address and no more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import exc

from localmind.accounts.model import Account, Member, Role, Tenant, UserId
from localmind.catalog.account_tables import account, identity, membership, space_member
from localmind.catalog.database import Database
from localmind.catalog.tables import tenant as tenant_table
from localmind.errors import Conflict
from localmind.model import TenantId


class Place(NamedTuple):
    """A tenant that an account belongs to, and as what."""

    tenant: TenantId
    role: Role
    disabled: bool


class AccountTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- asked without a tenant

    def by_email(self, email: str) -> Account | None:
        """email: as emails.canonical gives it."""
        return self._one(account.c.email == email)

    def by_id(self, user_id: UserId) -> Account | None:
        return self._one(account.c.id == user_id)

    def places(self, user_id: UserId) -> list[Place]:
        """Every tenant of an account, the disabled ones too."""
        query = sa.select(membership).where(membership.c.user_id == user_id).order_by(membership.c.created_at, membership.c.tenant)
        with self._db.read() as connection:
            return [Place(TenantId(row.tenant), Role(row.role), row.disabled_at is not None) for row in connection.execute(query)]

    def tenants_of(self, user_id: UserId) -> list[Tenant]:
        """Those that the account may enter, the oldest membership first."""
        joined = tenant_table.join(membership, membership.c.tenant == tenant_table.c.id)
        query = sa.select(tenant_table, membership.c.role).select_from(joined)
        query = query.where(membership.c.user_id == user_id, membership.c.disabled_at.is_(None))
        with self._db.read() as connection:
            return [_tenant(row) for row in connection.execute(query.order_by(membership.c.created_at, tenant_table.c.id))]

    def add(self, user_id: UserId, *, email: str, name: str, password_hash: str | None) -> None:
        """Raises Conflict where another account has the address."""
        row = {"id": user_id, "email": email, "name": name, "password_hash": password_hash, "created_at": self._db.now()}
        try:
            with self._db.write() as connection:
                connection.execute(sa.insert(account).values(row))
        except exc.IntegrityError as error:
            raise Conflict(f"{email} has an account already.") from error

    def set_password(self, user_id: UserId, password_hash: str) -> None:
        self._update(user_id, password_hash=password_hash)

    def logged_in(self, user_id: UserId) -> None:
        self._update(user_id, last_login_at=self._db.now())

    def find_tenant(self, name: str) -> list[TenantId]:
        """Tenants with that id or that name."""
        query = sa.select(tenant_table.c.id).where((tenant_table.c.id == name) | (tenant_table.c.name == name))
        with self._db.read() as connection:
            return [TenantId(row) for row in connection.execute(query).scalars()]

    # --- a tenant's own

    def ensure_tenant(self, tenant: TenantId, name: str) -> None:
        """It is there; a name that it has already stays."""
        row = {"id": tenant, "name": name, "created_at": self._db.now()}
        with self._db.write(tenant) as connection:
            connection.execute(self._db.insert(tenant_table).values(row).on_conflict_do_nothing())

    def tenant(self, tenant: TenantId, role: Role) -> Tenant | None:
        """The tenant as somebody of that role sees it."""
        query = sa.select(tenant_table, sa.literal(role.value).label("role")).where(tenant_table.c.id == tenant)
        with self._db.read(tenant) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _tenant(row)

    def has_tenant(self, tenant: TenantId) -> bool:
        with self._db.read() as connection:
            return connection.execute(sa.select(tenant_table.c.id).where(tenant_table.c.id == tenant)).first() is not None

    def rename_tenant(self, tenant: TenantId, name: str) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(tenant_table).where(tenant_table.c.id == tenant).values(name=name))

    def place(self, tenant: TenantId, user_id: UserId) -> Place | None:
        query = sa.select(membership).where(membership.c.tenant == tenant, membership.c.user_id == user_id)
        with self._db.read(tenant) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Place(tenant, Role(row.role), row.disabled_at is not None)

    def join(self, tenant: TenantId, user_id: UserId, role: Role) -> None:
        """A member with that role; one of before gets it, and may enter again."""
        row = {"tenant": tenant, "user_id": user_id, "role": role.value, "disabled_at": None, "created_at": self._db.now()}
        insert = self._db.insert(membership).values(row)
        changed = {"role": role.value, "disabled_at": None}
        with self._db.write(tenant) as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "user_id"], set_=changed))

    def members(self, tenant: TenantId, *, user_ids: Sequence[UserId] | None = None, after: str = "", limit: int = 1000) -> list[Member]:
        """By address. after: the last address of the page before."""
        joined = membership.join(account, account.c.id == membership.c.user_id)
        query = sa.select(membership, account.c.email, account.c.name, account.c.last_login_at).select_from(joined)
        query = query.where(membership.c.tenant == tenant, account.c.email > after)
        if user_ids is not None:
            query = query.where(membership.c.user_id.in_(user_ids))
        with self._db.read(tenant) as connection:
            return [_member(row) for row in connection.execute(query.order_by(account.c.email).limit(limit))]

    def change_member(self, tenant: TenantId, user_id: UserId, *, role: Role, disabled: bool) -> None:
        disabled_at = sa.func.coalesce(membership.c.disabled_at, self._db.now()) if disabled else None
        where = (membership.c.tenant == tenant) & (membership.c.user_id == user_id)
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(membership).where(where).values(role=role.value, disabled_at=disabled_at))

    def leave(self, tenant: TenantId, user_id: UserId) -> None:
        """Out of the tenant and its spaces. The account itself stays while it belongs to another tenant."""
        elsewhere = sa.exists().where(membership.c.user_id == user_id)
        with self._db.write() as connection:
            for table in (membership, space_member):
                connection.execute(sa.delete(table).where(table.c.tenant == tenant, table.c.user_id == user_id))
            connection.execute(sa.delete(identity).where(identity.c.user_id == user_id, ~elsewhere))
            connection.execute(sa.delete(account).where(account.c.id == user_id, ~elsewhere))

    def owners(self, tenant: TenantId) -> int:
        """How many there are that may enter."""
        query = sa.select(sa.func.count()).where(
            membership.c.tenant == tenant, membership.c.role == Role.OWNER.value, membership.c.disabled_at.is_(None)
        )
        with self._db.read(tenant) as connection:
            return int(connection.execute(query).scalar_one())

    def _one(self, where: sa.ColumnElement[bool]) -> Account | None:
        query = sa.select(account.c.id, account.c.email, account.c.name, account.c.password_hash).where(where)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Account(UserId(row.id), row.email, row.name, row.password_hash)

    def _update(self, user_id: UserId, **values: Any) -> None:
        with self._db.write() as connection:
            connection.execute(sa.update(account).where(account.c.id == user_id).values(values))


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def _tenant(row: Any) -> Tenant:
    return Tenant(TenantId(row.id), row.name, Role(row.role), moment(row.created_at))


def _member(row: Any) -> Member:
    return Member(
        user_id=UserId(row.user_id),
        email=row.email,
        name=row.name,
        role=Role(row.role),
        disabled=row.disabled_at is not None,
        created_at=moment(row.created_at),
        last_login_at=moment_or_none(row.last_login_at),
    )
