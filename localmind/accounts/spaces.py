"""Spaces: knowledge bases of a tenant. A space is a partition of its own in every store, so that none can see into another.

The default space's partition is the tenant's id; see docs/adr/0017-spaces-are-partitions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from localmind.accounts.model import Access, Principal, Role, Space, SpaceMember, UserId, require
from localmind.accounts.recent import Recent
from localmind.catalog.audit import Event
from localmind.errors import Conflict, InvalidInput, NotFound
from localmind.ids import is_id, random_id
from localmind.model import TenantId

if TYPE_CHECKING:
    from localmind.catalog.catalog import Catalog
    from localmind.catalog.spaces import SpaceRow

DEFAULT_NAME = "Default"
MOST_SPACES = 1000
"""Of one tenant."""

LINGER_S = 3600
"""A deleted space is looked through again for so long: a request that was let in before may still have put something in."""


class Spaces:
    def __init__(self, catalog: Catalog, empty: Callable[[TenantId], None]) -> None:
        """empty: removes what a partition holds; may be cut off and called again."""
        self._catalog = catalog
        self._table = catalog.spaces
        self._empty = empty
        self._recent: Recent[tuple[TenantId, UserId | None, TenantId], SpaceRow] = Recent()

    # --- into a space

    def known(self, principal: Principal, space: str | None) -> Access | None:
        """As enter(), as far as this process knows without the catalog; None: enter() has to tell."""
        space_id = _chosen(principal, space)
        if space_id == principal.tenant:
            return Access(principal, space_id, principal.role)
        row = self._recent.get((principal.tenant, principal.user_id, space_id))
        return None if row is None else _access(principal, row)

    def enter(self, principal: Principal, space: str | None) -> Access:
        """space: None for the default one, or the one that an API key is limited to.

        Raises NotFound alike for a space that is not there, of another tenant, or closed to who asks.
        """
        known = self.known(principal, space)
        if known is not None:
            return known
        row = self._row(principal, _chosen(principal, space))
        self._recent.put((principal.tenant, principal.user_id, row.id), row)
        return _access(principal, row)

    # --- what there is

    def all(self, principal: Principal) -> list[Space]:
        """Those that the principal may enter, the default one first."""
        rows = self._table.all(principal.tenant, principal.user_id)
        found = [_seen(row, role) for row in rows if (role := _role_in(principal, row)) is not None]
        default = self._default(principal) if _may_see(principal, principal.tenant) else None
        return [*([] if default is None else [default]), *(one for one in found if _may_see(principal, one.id))]

    def get(self, principal: Principal, space_id: TenantId) -> Space:
        access = self.enter(principal, space_id)
        if space_id == principal.tenant:
            return self._default(principal)
        return _seen(self._row(principal, space_id), access.role)

    def make(self, principal: Principal, name: str, *, restricted: bool) -> Space:
        """Its maker becomes its administrator."""
        require(principal.role, Role.ADMIN)
        if principal.spaces is not None:
            raise Conflict("An API key that is limited to some spaces can't make others.", hint="Use one without that limit.")
        if len(self._table.all(principal.tenant, None)) >= MOST_SPACES:
            raise Conflict(f"There are {MOST_SPACES} spaces already.", hint="Delete some.")
        space_id = TenantId(random_id())
        with self._catalog.database.write():
            self._table.add(principal.tenant, space_id, name=name, restricted=restricted)
            if principal.user_id is not None:
                self._table.put_member(principal.tenant, space_id, principal.user_id, Role.ADMIN)
            self._catalog.audit.record(Event.SPACE_CREATED, space_id, tenant=principal.tenant, restricted=restricted)
        return self.get(principal, space_id)

    def change(self, principal: Principal, space_id: TenantId, *, name: str | None = None, restricted: bool | None = None) -> Space:
        row = self._administered(principal, space_id)
        is_restricted = row.restricted if restricted is None else restricted
        with self._catalog.database.write():
            self._table.change(principal.tenant, space_id, name=row.name if name is None else name, restricted=is_restricted)
            self._catalog.audit.record(Event.SPACE_CHANGED, space_id, tenant=principal.tenant, restricted=is_restricted)
        self._recent.forget()
        return self.get(principal, space_id)

    def delete(self, principal: Principal, space_id: TenantId) -> None:
        """Nobody enters it from now on; finish() removes what is in it."""
        require(principal.role, Role.ADMIN)
        self._administered(principal, space_id)
        with self._catalog.database.write():
            self._table.mark_deleted(principal.tenant, space_id)
            self._catalog.audit.record(Event.SPACE_DELETED, space_id, tenant=principal.tenant)
        self._recent.forget()

    def finish(self) -> None:
        """Removes what deleted spaces still hold. Run after a delete, and at start for what was cut off."""
        for tenant, space_id in self._table.deleted():
            self._empty(space_id)
            self._table.drop(tenant, space_id, deleted_before_s=LINGER_S)

    # --- its members

    def members(self, principal: Principal, space_id: TenantId) -> list[SpaceMember]:
        self._administered(principal, space_id)
        return self._table.members(principal.tenant, space_id)

    def put_member(self, principal: Principal, space_id: TenantId, user_id: UserId, role: Role) -> SpaceMember:
        """role: viewer, editor or admin there, more or less than in the tenant. Raises NotFound for who is not of the tenant."""
        self._administered(principal, space_id)
        if role is Role.OWNER:
            raise InvalidInput("A space has no owner.", hint="Make them its admin.")
        if self._catalog.accounts.place(principal.tenant, user_id) is None:
            raise NotFound(f"There is no user {user_id!r}.")
        with self._catalog.database.write():
            self._table.put_member(principal.tenant, space_id, user_id, role)
            self._catalog.audit.record(Event.SPACE_CHANGED, space_id, tenant=principal.tenant, subject=user_id, role=role.value)
        self._recent.forget()
        return next(member for member in self._table.members(principal.tenant, space_id) if member.user_id == user_id)

    def drop_member(self, principal: Principal, space_id: TenantId, user_id: UserId) -> None:
        self._administered(principal, space_id)
        with self._catalog.database.write():
            if not self._table.drop_member(principal.tenant, space_id, user_id):
                raise NotFound(f"The space has no member {user_id!r}.")
            self._catalog.audit.record(Event.SPACE_CHANGED, space_id, tenant=principal.tenant, subject=user_id, role=None)
        self._recent.forget()

    # --- what the others stand on

    def _row(self, principal: Principal, space_id: TenantId) -> SpaceRow:
        row = self._table.get(principal.tenant, space_id, principal.user_id)
        if row is None:
            raise _missing(space_id)
        return row

    def _administered(self, principal: Principal, space_id: TenantId) -> SpaceRow:
        """The space, where who asks may change it. The default one belongs to the tenant as a whole."""
        access = self.enter(principal, space_id)
        require(access.role, Role.ADMIN)
        if space_id == principal.tenant:
            raise Conflict("The default space can't be changed: it is open to the whole tenant.", hint="Make another space.")
        return self._row(principal, space_id)

    def _default(self, principal: Principal) -> Space:
        tenant = self._catalog.accounts.tenant(principal.tenant, principal.role)
        created_at = datetime.fromtimestamp(0, UTC) if tenant is None else tenant.created_at
        return Space(principal.tenant, DEFAULT_NAME, False, principal.role, True, created_at)


def _chosen(principal: Principal, space: str | None) -> TenantId:
    """The space that is meant, whether it is there or not. Raises NotFound for what can't be one."""
    if space is None and principal.spaces is not None and len(principal.spaces) == 1:
        return next(iter(principal.spaces))
    space_id = principal.tenant if space is None else TenantId(space)
    if not is_id(space_id) or not _may_see(principal, space_id):
        raise _missing(space_id)
    return space_id


def _may_see(principal: Principal, space_id: TenantId) -> bool:
    return principal.spaces is None or space_id in principal.spaces


def _role_in(principal: Principal, row: SpaceRow) -> Role | None:
    """What the principal may do there; None: not even see it."""
    if principal.granted.allows(Role.ADMIN):
        role = principal.granted
    elif row.mine is not None:
        role = row.mine
    elif row.restricted:
        return None
    else:
        role = principal.granted
    return role.at_most(principal.cap)


def _access(principal: Principal, row: SpaceRow) -> Access:
    role = _role_in(principal, row)
    if role is None:
        raise _missing(row.id)
    return Access(principal, row.id, role)


def _seen(row: SpaceRow, role: Role) -> Space:
    return Space(row.id, row.name, row.restricted, role, False, row.created_at)


def _missing(space_id: str) -> NotFound:
    return NotFound(f"There is no space {space_id[:64]!r}.", hint="GET /api/v1/spaces lists yours.")
