"""The words of access: roles, principals, and what the catalog keeps of people, spaces and keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from localmind.errors import Forbidden
from localmind.model import PERSONAL, TenantId

UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
ApiKeyId = NewType("ApiKeyId", str)
InvitationId = NewType("InvitationId", str)


class Role(StrEnum):
    """What a person may do in a tenant or a space; each may all that those before it may.

    viewer: read, search, ask. editor: put in, change, delete documents. admin: people, spaces, keys. owner: other owners too.
    """

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    def allows(self, needed: Role) -> bool:
        return _RANK[self] >= _RANK[needed]

    def at_most(self, other: Role) -> Role:
        return self if other.allows(self) else other

    def at_least(self, other: Role) -> Role:
        return self if self.allows(other) else other


_RANK = {role: rank for rank, role in enumerate(Role)}


class Scope(StrEnum):
    """What an API key is for. Each includes those before it, and none exceeds its user's role."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        """The most that a key of this scope may be."""
        return {Scope.READ: Role.VIEWER, Scope.WRITE: Role.EDITOR, Scope.ADMIN: Role.ADMIN}[self]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. granted: their role in the tenant, whatever they came with.

    user_id: None for whoever sits at a service without logins. spaces: the ones an API key is limited to; None: no such limit.
    """

    tenant: TenantId
    user_id: UserId | None
    granted: Role
    session_id: SessionId | None = None
    key_id: ApiKeyId | None = None
    scopes: frozenset[Scope] = frozenset(Scope)
    spaces: frozenset[TenantId] | None = None

    @property
    def cap(self) -> Role:
        """The most that they may be anywhere, coming with what they came with."""
        if self.key_id is None:
            return Role.OWNER
        return max((scope.role for scope in self.scopes), key=_RANK.__getitem__, default=Role.VIEWER)

    @property
    def role(self) -> Role:
        """What they may do in the tenant now."""
        return self.granted.at_most(self.cap)

    @property
    def is_operator(self) -> bool:
        """Whether the whole service is theirs to look after: an administrator of its first tenant, without a limit to spaces."""
        return self.tenant == PERSONAL and self.role.allows(Role.ADMIN) and self.spaces is None


OWNER_HERE = Principal(PERSONAL, None, Role.OWNER)
"""Whoever sits at a service without logins."""


def require(role: Role, needed: Role) -> None:
    """Raises Forbidden, which names the role that is needed."""
    if not role.allows(needed):
        raise Forbidden(f"This needs the role {needed}; yours is {role}.", hint="Ask an administrator of your tenant.", needed=needed.value)


@dataclass(frozen=True, slots=True)
class Access:
    """A principal in a space. partition: the tenant as every store knows it: one a space."""

    principal: Principal
    partition: TenantId
    role: Role


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company, or a household. role: of whoever asks."""

    id: TenantId
    name: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A person. password_hash: None where no password was ever set."""

    id: UserId
    email: str
    name: str
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person's place in a tenant."""

    user_id: UserId
    email: str
    name: str
    role: Role
    disabled: bool
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class Space:
    """A knowledge base of a tenant. role: of whoever asks. is_default: the one that a request without a space means."""

    id: TenantId
    name: str
    restricted: bool
    role: Role
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SpaceMember:
    user_id: UserId
    email: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: ApiKeyId
    user_id: UserId
    name: str
    prefix: str
    scopes: frozenset[Scope]
    spaces: frozenset[TenantId] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Invitation:
    id: InvitationId
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to a login provider. email: in canonical form, where the provider has made sure of it; else None."""

    issuer: str
    subject: str
    email: str | None
    name: str


@dataclass(frozen=True, slots=True)
class LoginRule:
    """What a tenant allows logins of a provider.

    link_by_email: members whose address the provider confirms may come in. join_domains: whoever has an address there becomes a viewer.
    """

    link_by_email: bool = False
    join_domains: frozenset[str] = frozenset()

    def admits(self, email: str) -> bool:
        return self.link_by_email or email.rpartition("@")[2] in self.join_domains
