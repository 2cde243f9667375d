"""API keys: made, listed, rotated, deleted. A key acts for its user, and can do no more than they."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from localmind.accounts.model import ApiKey, ApiKeyId, Principal, Role, Scope, UserId, require
from localmind.accounts.opaque import digest, new_api_key
from localmind.catalog import cursors
from localmind.catalog.audit import Event
from localmind.errors import Conflict, Forbidden, NotFound
from localmind.ids import random_id
from localmind.model import ListPage, TenantId

if TYPE_CHECKING:
    from localmind.accounts.authentication import Authentication
    from localmind.accounts.spaces import Spaces
    from localmind.catalog.catalog import Catalog

MOST_KEYS = 100
"""Of one person in a tenant."""


class NewApiKey(NamedTuple):
    """text: the key itself, shown once."""

    key: ApiKey
    text: str


class ApiKeys:
    def __init__(self, catalog: Catalog, spaces: Spaces, authentication: Authentication | None) -> None:
        self._catalog = catalog
        self._keys = catalog.api_keys
        self._spaces = spaces
        self._authentication = authentication

    def make(
        self,
        principal: Principal,
        name: str,
        scopes: Collection[Scope],
        *,
        spaces: Collection[TenantId] | None = None,
        days: int | None = None,
    ) -> NewApiKey:
        """days: until it expires; None: never. Raises Forbidden for a scope or a space that its maker may not have."""
        user_id = self._user(principal)
        _require_hand(principal)
        for scope in scopes:
            require(principal.role, scope.role)
        if spaces is None:
            spaces = principal.spaces
        for space in spaces or ():
            self._spaces.enter(principal, space)
        if len(self._keys.all(principal.tenant, user_id=user_id, limit=MOST_KEYS)) == MOST_KEYS:
            raise Conflict(f"You have {MOST_KEYS} API keys already.", hint="Delete some.")
        now = datetime.now(UTC)
        key = ApiKey(
            id=ApiKeyId(random_id()),
            user_id=user_id,
            name=name,
            prefix="",
            scopes=frozenset(scopes),
            spaces=None if spaces is None else frozenset(spaces),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
            last_used_at=None,
        )
        return self._add(principal.tenant, key)

    def all(self, principal: Principal, *, limit: int, cursor: str | None = None) -> ListPage[ApiKey]:
        """One's own; for an administrator, the tenant's. The oldest first. Raises BadCursor."""
        user_id = None if principal.role.allows(Role.ADMIN) else self._user(principal)
        after = "" if cursor is None else str(cursors.decode(cursor, str)[0])
        found = self._keys.all(principal.tenant, user_id=user_id, after=after, limit=limit + 1)
        return ListPage(tuple(found[:limit]), cursors.encode(found[limit - 1].id) if len(found) > limit else None)

    def get(self, principal: Principal, key_id: ApiKeyId) -> ApiKey:
        """Raises NotFound, also for another's key where who asks is no administrator."""
        found = self._keys.get(principal.tenant, key_id)
        if found is None or (found.user_id != principal.user_id and not principal.role.allows(Role.ADMIN)):
            raise NotFound(f"There is no API key {key_id!r}.")
        return found

    def rotate(self, principal: Principal, key_id: ApiKeyId, *, overlap_hours: float) -> NewApiKey:
        """A key for the same, with a life as long; the old one holds for the overlap. Only for who the key acts for."""
        _require_hand(principal)
        old = self.get(principal, key_id)
        if old.user_id != principal.user_id:
            raise Forbidden("Another's key can be deleted, not rotated: the new one would act in their name.")
        for scope in old.scopes:
            require(principal.role, scope.role)
        now = datetime.now(UTC)
        ends = None if old.expires_at is None else now + (old.expires_at - old.created_at)
        fresh = replace(old, id=ApiKeyId(random_id()), created_at=now, expires_at=ends, last_used_at=None)
        with self._catalog.database.write():
            if not self._keys.replace(principal.tenant, key_id, by=fresh.id, holds_s=overlap_hours * 3600):
                raise Conflict("The key has expired, or been rotated already.", hint="Make a new one.")
            made = self._add(principal.tenant, fresh, replaces=key_id)
        self._forget()
        return made

    def delete(self, principal: Principal, key_id: ApiKeyId) -> None:
        """It holds no more."""
        _require_hand(principal)
        key = self.get(principal, key_id)
        with self._catalog.database.write():
            self._keys.delete(principal.tenant, key.id)
            self._catalog.audit.record(Event.KEY_REVOKED, principal.tenant, subject=key.user_id, key=key.id)
        self._forget()

    def _add(self, tenant: TenantId, key: ApiKey, *, replaces: ApiKeyId | None = None) -> NewApiKey:
        prefix, text = new_api_key()
        key = replace(key, prefix=prefix)
        with self._catalog.database.write():
            self._keys.add(tenant, key, digest(text))
            self._catalog.audit.record(Event.KEY_CREATED, tenant, key=key.id, scopes=sorted(key.scopes), replaces=replaces)
        return NewApiKey(key, text)

    def _user(self, principal: Principal) -> UserId:
        if principal.user_id is None:
            raise Conflict("This service runs without logins, and needs no API keys.", hint="AUTH=required turns logins on.")
        return principal.user_id

    def _forget(self) -> None:
        if self._authentication is not None:
            self._authentication.forget()


def _require_hand(principal: Principal) -> None:
    """A key that leaked must not make itself another, nor take the others away; one for administration may."""
    if principal.key_id is not None and Scope.ADMIN not in principal.scopes:
        raise Forbidden("An API key manages keys only with the scope admin.", hint="Log in, or use such a key.")
