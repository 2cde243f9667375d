"""Tenants and their people."""

from __future__ import annotations

from fastapi import APIRouter

from apps.backend.access import Administrator, Member
from apps.backend.dependencies import Cursor, InvitationIdPath, Limit, Mind, TenantIdPath, UserIdPath
from apps.backend.schemas.accounts import (
    InvitationOut,
    InvitedOut,
    InviteIn,
    LoginRuleIn,
    LoginRuleOut,
    Renamed,
    TenantOut,
    UserChange,
    UserOut,
)
from apps.backend.schemas.common import Page, problems
from localmind.accounts.model import LoginRule

router = APIRouter(prefix="/api/v1", tags=["accounts"])

OTHER = "Not the tenant that you are logged in to."
MISSING = problems(_404="No such user.")
CHANGE = problems(_404="No such user.", _409="The tenant's last owner.")


@router.get("/tenants", responses=problems())
def list_tenants(mind: Mind, who: Member) -> Page[TenantOut]:
    """Those that you belong to."""
    return Page(items=[TenantOut.model_validate(one) for one in mind.accounts.members.tenants(who)])


@router.patch("/tenants/{tenant_id}", responses=problems(_404=OTHER))
def rename_tenant(mind: Mind, who: Administrator, tenant_id: TenantIdPath, body: Renamed) -> TenantOut:
    """Give it another name."""
    return TenantOut.model_validate(mind.accounts.members.rename_tenant(who, tenant_id, body.name))


@router.get("/tenants/{tenant_id}/login-rule", responses=problems(_404=OTHER))
def get_login_rule(mind: Mind, who: Administrator, tenant_id: TenantIdPath) -> LoginRuleOut:
    """What the tenant allows logins by a provider."""
    mind.accounts.members.require_own(who, tenant_id)
    return LoginRuleOut.of(mind.accounts.single_sign_on.rule(who))


@router.put("/tenants/{tenant_id}/login-rule", responses=problems(_400="Not a domain.", _404=OTHER, _409="Another tenant's domain."))
def set_login_rule(mind: Mind, who: Administrator, tenant_id: TenantIdPath, body: LoginRuleIn) -> LoginRuleOut:
    """Say who may come in by a login provider. It counts from the next login on."""
    mind.accounts.members.require_own(who, tenant_id)
    rule = LoginRule(body.link_by_email, frozenset(body.join_domains))
    return LoginRuleOut.of(mind.accounts.single_sign_on.set_rule(who, rule))


@router.get("/users", responses=problems())
def list_users(mind: Mind, who: Administrator, limit: Limit = 50, cursor: Cursor = None) -> Page[UserOut]:
    """The tenant's people, by address."""
    found = mind.accounts.members.all(who, limit=limit, cursor=cursor)
    return Page(items=[UserOut.model_validate(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("/users", status_code=201, responses=problems(_400="Not an address.", _409="A member already."))
def invite(mind: Mind, who: Administrator, body: InviteIn) -> InvitedOut:
    """Invite somebody. Hand the token over: it is taken once, at /auth/accept-invitation. A new one replaces an earlier one."""
    return InvitedOut.with_token(mind.accounts.members.invite(who, body.email, body.role, days=body.days))


@router.get("/users/invitations", responses=problems())
def list_invitations(mind: Mind, who: Administrator) -> Page[InvitationOut]:
    """Invitations that are open."""
    return Page(items=[InvitationOut.of(one) for one in mind.accounts.members.invitations(who)])


@router.delete("/users/invitations/{invitation_id}", status_code=204, responses=problems(_404="No such invitation."))
def withdraw_invitation(mind: Mind, who: Administrator, invitation_id: InvitationIdPath) -> None:
    """Take an invitation back."""
    mind.accounts.members.withdraw(who, invitation_id)


@router.get("/users/{user_id}", responses=MISSING)
def get_user(mind: Mind, who: Administrator, user_id: UserIdPath) -> UserOut:
    """One of the tenant's people."""
    return UserOut.model_validate(mind.accounts.members.get(who, user_id))


@router.patch("/users/{user_id}", responses=CHANGE)
def change_user(mind: Mind, who: Administrator, user_id: UserIdPath, body: UserChange) -> UserOut:
    """Give a role, or shut out and let in again. It counts at once, within half a minute on other backends."""
    return UserOut.model_validate(mind.accounts.members.change(who, user_id, role=body.role, disabled=body.disabled))


@router.delete("/users/{user_id}", status_code=204, responses=CHANGE)
def remove_user(mind: Mind, who: Administrator, user_id: UserIdPath) -> None:
    """Take somebody out of the tenant, with their API keys. What they put in stays."""
    mind.accounts.members.remove(who, user_id)
