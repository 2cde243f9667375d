"""API keys: their hashes, what they are for, when they were last used."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.accounts.model import ApiKey, ApiKeyId, Role, Scope, UserId
from localmind.catalog.account_tables import api_key, membership
from localmind.catalog.accounts import moment, moment_or_none
from localmind.catalog.database import Database
from localmind.model import TenantId


class KeyInUse(NamedTuple):
    """A key that holds, and the role of its user now."""

    key: ApiKey
    tenant: TenantId
    hash: str
    role: Role


class ApiKeyTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: TenantId, key: ApiKey, key_hash: str) -> None:
        row = {
            "id": key.id,
            "tenant": tenant,
            "user_id": key.user_id,
            "name": key.name,
            "prefix": key.prefix,
            "hash": key_hash,
            "scopes": sorted(key.scopes),
            "spaces": None if key.spaces is None else sorted(key.spaces),
            "created_at": key.created_at.timestamp(),
            "expires_at": None if key.expires_at is None else key.expires_at.timestamp(),
        }
        with self._db.write(tenant) as connection:
            connection.execute(sa.insert(api_key).values(row))

    def use(self, prefix: str) -> KeyInUse | None:
        """The key that begins so, if it has not expired and its user may enter. Asked without a tenant: the key says which."""
        joined = api_key.join(membership, (membership.c.tenant == api_key.c.tenant) & (membership.c.user_id == api_key.c.user_id))
        query = sa.select(api_key, membership.c.role).select_from(joined)
        query = query.where(api_key.c.prefix == prefix, membership.c.disabled_at.is_(None), self._holds())
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return KeyInUse(_key(row), TenantId(row.tenant), row.hash, Role(row.role))

    def touch(self, tenant: TenantId, key_id: ApiKeyId) -> None:
        """It was used now."""
        with self._db.write(tenant) as connection:
            update = sa.update(api_key).where(api_key.c.tenant == tenant, api_key.c.id == key_id)
            connection.execute(update.values(last_used_at=self._db.now()))

    def all(self, tenant: TenantId, *, user_id: UserId | None, after: str = "", limit: int = 1000) -> list[ApiKey]:
        """The oldest first; of one user where one is named. Expired ones too, until they are deleted."""
        query = sa.select(api_key).where(api_key.c.tenant == tenant, api_key.c.id > after)
        if user_id is not None:
            query = query.where(api_key.c.user_id == user_id)
        with self._db.read(tenant) as connection:
            return [_key(row) for row in connection.execute(query.order_by(api_key.c.id).limit(limit))]

    def get(self, tenant: TenantId, key_id: ApiKeyId) -> ApiKey | None:
        query = sa.select(api_key).where(api_key.c.tenant == tenant, api_key.c.id == key_id)
        with self._db.read(tenant) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _key(row)

    def replace(self, tenant: TenantId, key_id: ApiKeyId, *, by: ApiKeyId, holds_s: float) -> bool:
        """The key ends after that time, or when it would have, and has a successor. False where it has ended or has one."""
        ends = self._db.now() + holds_s
        where = (api_key.c.tenant == tenant) & (api_key.c.id == key_id) & api_key.c.replaced_by.is_(None) & self._holds()
        sooner = sa.case((api_key.c.expires_at < ends, api_key.c.expires_at), else_=ends)
        with self._db.write(tenant) as connection:
            return bool(connection.execute(sa.update(api_key).where(where).values(replaced_by=by, expires_at=sooner)).rowcount)

    def delete(self, tenant: TenantId, key_id: ApiKeyId) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(api_key).where(api_key.c.tenant == tenant, api_key.c.id == key_id))

    def delete_of(self, tenant: TenantId, user_id: UserId) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(api_key).where(api_key.c.tenant == tenant, api_key.c.user_id == user_id))

    def _holds(self) -> sa.ColumnElement[bool]:
        return api_key.c.expires_at.is_(None) | (api_key.c.expires_at > self._db.now())


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row.id),
        user_id=UserId(row.user_id),
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(map(Scope, row.scopes)),
        spaces=None if row.spaces is None else frozenset(map(TenantId, row.spaces)),
        created_at=moment(row.created_at),
        expires_at=moment_or_none(row.expires_at),
        last_used_at=moment_or_none(row.last_used_at),
    )
