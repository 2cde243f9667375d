"""The people of a tenant: invited, given a role, shut out, removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from localmind.accounts.emails import canonical
from localmind.accounts.model import Account, Invitation, InvitationId, Member, Principal, Role, Tenant, UserId, require
from localmind.accounts.opaque import INVITATION, digest, new_token
from localmind.accounts.passwords import Passwords, check_password
from localmind.catalog import cursors
from localmind.catalog.audit import Event
from localmind.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from localmind.ids import random_id
from localmind.model import PERSONAL, ListPage, TenantId

if TYPE_CHECKING:
    from localmind.accounts.authentication import Authentication
    from localmind.accounts.logins import Logins
    from localmind.catalog.catalog import Catalog

INVITATION_DAYS = 7
FIRST_TENANT = "Local Mind"
"""What the first tenant is called until somebody names it."""


class Invited(NamedTuple):
    """token: shown once, for whoever is invited."""

    invitation: Invitation
    token: str


class Accepted(NamedTuple):
    account: Account
    tenant: TenantId


class Profile(NamedTuple):
    """Who asks, to themselves. account: None where the service runs without logins."""

    principal: Principal
    account: Account | None
    tenant: Tenant


class Created(NamedTuple):
    user_id: UserId
    tenant: TenantId
    is_new: bool


class Members:
    def __init__(self, catalog: Catalog, passwords: Passwords, logins: Logins | None, authentication: Authentication | None) -> None:
        """logins, authentication: None where a service runs without; nobody logs in there, and nobody accepts an invitation."""
        self._catalog = catalog
        self._accounts = catalog.accounts
        self._passwords = passwords
        self._logins = logins
        self._authentication = authentication

    def profile(self, principal: Principal) -> Profile:
        account = None if principal.user_id is None else self._accounts.by_id(principal.user_id)
        return Profile(principal, account, self.tenant(principal))

    # --- tenants

    def tenants(self, principal: Principal) -> list[Tenant]:
        """Those that the person belongs to; for an API key, its own."""
        if principal.user_id is None or principal.key_id is not None:
            return [self.tenant(principal)]
        return self._accounts.tenants_of(principal.user_id)

    def tenant(self, principal: Principal) -> Tenant:
        found = self._accounts.tenant(principal.tenant, principal.role)
        if found is None:  # only the first tenant is there before anybody has an account in it
            self._accounts.ensure_tenant(principal.tenant, FIRST_TENANT)
            return self.tenant(principal)
        return found

    def rename_tenant(self, principal: Principal, tenant: TenantId, name: str) -> Tenant:
        require(principal.role, Role.ADMIN)
        self.require_own(principal, tenant)
        self._accounts.ensure_tenant(tenant, FIRST_TENANT)
        self._accounts.rename_tenant(tenant, name)
        return self.tenant(principal)

    def require_own(self, principal: Principal, tenant: TenantId) -> None:
        """Raises NotFound for any tenant but the one that the principal is logged in to."""
        if tenant != principal.tenant:
            raise NotFound(f"There is no tenant {tenant!r}.", hint="You can change the one that you are logged in to.")

    # --- members

    def all(self, principal: Principal, *, limit: int, cursor: str | None = None) -> ListPage[Member]:
        """By address. Raises BadCursor."""
        require(principal.role, Role.ADMIN)
        after = "" if cursor is None else str(cursors.decode(cursor, str)[0])
        found = self._accounts.members(principal.tenant, after=after, limit=limit + 1)
        return ListPage(tuple(found[:limit]), cursors.encode(found[limit - 1].email) if len(found) > limit else None)

    def get(self, principal: Principal, user_id: UserId) -> Member:
        require(principal.role, Role.ADMIN)
        return self._member(principal.tenant, user_id)

    def change(self, principal: Principal, user_id: UserId, *, role: Role | None = None, disabled: bool | None = None) -> Member:
        """Raises Forbidden where an owner is concerned and who asks is none, Conflict for the last owner."""
        with self._alone(principal):
            member = self._changeable(principal, user_id)
            new_role, is_out = role or member.role, member.disabled if disabled is None else disabled
            if new_role is Role.OWNER:
                require(principal.role, Role.OWNER)
            if is_out or new_role is not Role.OWNER:
                self._keep_an_owner(principal.tenant, member)
            self._accounts.change_member(principal.tenant, user_id, role=new_role, disabled=is_out)
            if is_out:
                self._catalog.sessions.revoke_all(user_id, tenant=principal.tenant)
            elif new_role is not member.role:
                self._catalog.sessions.outdate(principal.tenant, user_id)
            self._note(principal, Event.ROLE_CHANGED, user_id, role=new_role.value, disabled=is_out)
        self._forget()
        return self._member(principal.tenant, user_id)

    def remove(self, principal: Principal, user_id: UserId) -> None:
        """Out of the tenant, with the keys that act for them. What they put in stays: it is the tenant's."""
        with self._alone(principal):
            self._keep_an_owner(principal.tenant, self._changeable(principal, user_id))
            self._catalog.sessions.revoke_all(user_id, tenant=principal.tenant)
            self._catalog.api_keys.delete_of(principal.tenant, user_id)
            self._accounts.leave(principal.tenant, user_id)
            self._note(principal, Event.MEMBER_REMOVED, user_id)
        self._forget()

    # --- invitations

    def invite(self, principal: Principal, email: str, role: Role, *, days: int = INVITATION_DAYS) -> Invited:
        """One invitation an address: a new one takes the old one's place. Raises Conflict for who is a member."""
        require(principal.role, Role.OWNER if role is Role.OWNER else Role.ADMIN)
        email = canonical(email)
        account = self._accounts.by_email(email)
        if account is not None and self._accounts.place(principal.tenant, account.id) is not None:
            raise Conflict(f"{email} is a member already.", hint="Change the role instead.")
        token = new_token(INVITATION)
        self.tenant(principal)
        with self._catalog.database.write():
            put = self._catalog.invitations.put(
                principal.tenant,
                InvitationId(random_id()),
                email=email,
                role=role,
                hash_=digest(token),
                by=principal.user_id,
                lasts_s=days * 86_400,
            )
            self._catalog.audit.record(Event.MEMBER_INVITED, principal.tenant, invitation=put.id, role=role.value)
        return Invited(put, token)

    def invitations(self, principal: Principal) -> list[Invitation]:
        require(principal.role, Role.ADMIN)
        return self._catalog.invitations.all(principal.tenant)

    def withdraw(self, principal: Principal, invitation_id: InvitationId) -> None:
        require(principal.role, Role.ADMIN)
        if not self._catalog.invitations.take(principal.tenant, invitation_id):
            raise NotFound(f"There is no invitation {invitation_id!r}.", hint="It may have been accepted.")

    def accept(self, token: str, password: str, *, name: str = "", address: str) -> Accepted:
        """The member that the token's holder becomes. Who has an account gives its password; else this becomes the password.

        Raises Unauthenticated for a token or a password that does not hold, TooManyAttempts.
        """
        found = self._catalog.invitations.by_hash(digest(token))
        if found is None or self._logins is None:
            raise Unauthenticated("The invitation does not hold.", hint="It may have expired or been used. Ask for a new one.")
        email = found.invitation.email
        account = self._accounts.by_email(email)
        if account is None:
            check_password(password, email=email)
            hashed = self._passwords.hash(password)
        else:
            self._logins.prove(email, password, address=address)
        with self._catalog.database.write():
            if not self._catalog.invitations.take(found.tenant, found.invitation.id):
                raise Unauthenticated("The invitation does not hold.", hint="It has been used.")
            if account is None:
                account = Account(UserId(random_id()), email, name or email.partition("@")[0], hashed)
                self._accounts.add(account.id, email=email, name=account.name, password_hash=hashed)
            self._accounts.join(found.tenant, account.id, found.invitation.role)
            self._catalog.audit.record(
                Event.MEMBER_JOINED, found.tenant, tenant=found.tenant, user_id=account.id, invitation=found.invitation.id
            )
        self._forget()
        return Accepted(account, found.tenant)

    # --- by whoever has the machine

    def create_user(self, email: str, password: str, role: Role, *, tenant: str = PERSONAL, name: str = "") -> Created:
        """An account with that password and that place in a tenant, found by id or name, or made. Not for a request: asks nobody.

        An account that is there gets the password, and is logged out everywhere.
        """
        email = canonical(email)
        check_password(password, email=email)
        hashed = self._passwords.hash(password)
        with self._catalog.database.write():
            tenant_id = self._tenant_called(tenant)
            account = self._accounts.by_email(email)
            user_id = UserId(random_id()) if account is None else account.id
            if account is None:
                self._accounts.add(user_id, email=email, name=name or email.partition("@")[0], password_hash=hashed)
            else:
                self._accounts.set_password(user_id, hashed)
                self._catalog.sessions.revoke_all(user_id)
            self._accounts.join(tenant_id, user_id, role)
            self._catalog.audit.record(Event.MEMBER_JOINED, tenant_id, tenant=tenant_id, subject=user_id, role=role.value)
        return Created(user_id, tenant_id, account is None)

    def _tenant_called(self, tenant: str) -> TenantId:
        if not tenant.strip():
            raise InvalidInput("The tenant has no name.", hint="Give it one with --tenant.")
        found = self._accounts.find_tenant(tenant)
        if len(found) > 1:
            raise InvalidInput(f"Several tenants are called {tenant!r}.", hint=f"Give an id: {', '.join(found)}.")
        if found:
            return found[0]
        tenant_id = PERSONAL if tenant == PERSONAL else TenantId(random_id())
        self._accounts.ensure_tenant(tenant_id, FIRST_TENANT if tenant == PERSONAL else tenant)
        return tenant_id

    # --- what the others stand on

    def _note(self, principal: Principal, event: Event, user_id: UserId, **details: Any) -> None:
        self._catalog.audit.record(event, principal.tenant, subject=user_id, **details)

    def _member(self, tenant: TenantId, user_id: UserId) -> Member:
        found = self._accounts.members(tenant, user_ids=[user_id])
        if not found:
            raise NotFound(f"There is no user {user_id!r}.")
        return found[0]

    def _changeable(self, principal: Principal, user_id: UserId) -> Member:
        require(principal.role, Role.ADMIN)
        member = self._member(principal.tenant, user_id)
        if member.role is Role.OWNER:
            require(principal.role, Role.OWNER)
        return member

    def _keep_an_owner(self, tenant: TenantId, member: Member) -> None:
        if member.role is Role.OWNER and not member.disabled and self._accounts.owners(tenant) == 1:
            raise Conflict("This is the tenant's last owner.", hint="Make somebody else an owner first.")

    @contextmanager
    def _alone(self, principal: Principal) -> Iterator[None]:
        """One change of members after the other: of two owners that remove each other, one stays."""
        with self._catalog.database.write():
            self._catalog.database.hold(f"members {principal.tenant}")
            yield

    def _forget(self) -> None:
        if self._authentication is not None:
            self._authentication.forget()
