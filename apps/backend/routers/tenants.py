"""Tenants and their people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query
from fastapi.responses import StreamingResponse

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
from apps.backend.schemas.common import Page, listed, problems
from apps.backend.schemas.privacy import RetentionIn, RetentionOut
from localmind.accounts.model import LoginRule
from localmind.errors import InvalidInput

router = APIRouter(prefix="/api/v1", tags=["accounts"])

OTHER = "Not the tenant that you are logged in to."
MISSING = problems(_404="No such user.")
TENANT = problems(_404="Not the tenant that you are logged in to.")
ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}, "description": "A ZIP."}
}
CHANGE = problems(_400="`documents` without `erase`.", _404="No such user.", _409="The tenant's last owner.")


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


@router.get("/users", responses=listed())
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
def remove_user(
    mind: Mind,
    who: Administrator,
    user_id: UserIdPath,
    after: BackgroundTasks,
    erase: Annotated[bool, Query(description="Also what is kept of them: conversations, and whose their events in the audit are.")] = False,
    documents: Annotated[bool, Query(description="With `erase`: the documents that they added too, by jobs.")] = False,
) -> None:
    """Take somebody out of the tenant, with their API keys. What they put in stays."""
    if documents and not erase:
        raise InvalidInput("`documents` goes with `erase`.", hint="Send both, or neither.")
    if erase:
        mind.privacy.erasures.erase(who, user_id, documents=documents)
        after.add_task(mind.privacy.erasures.finish)
    else:
        mind.accounts.members.remove(who, user_id)


@router.post("/users/{user_id}/export", response_class=StreamingResponse, responses={**MISSING, **ARCHIVE})
def export_user(mind: Mind, who: Member, user_id: UserIdPath) -> StreamingResponse:
    """All that the tenant holds on a person: JSON and the files that they added. One's own, or for administrators."""
    pieces = mind.privacy.exports.of(who, user_id)
    headers = {"Content-Disposition": f'attachment; filename="user-{user_id}.zip"'}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.get("/tenants/{tenant_id}/retention", responses=TENANT)
def get_retention(mind: Mind, who: Administrator, tenant_id: TenantIdPath) -> RetentionOut:
    """After how many days the tenant lets go of what."""
    mind.accounts.members.require_own(who, tenant_id)
    return RetentionOut.model_validate(mind.privacy.retention.rules(tenant_id))


@router.put("/tenants/{tenant_id}/retention", responses=TENANT)
def set_retention(mind: Mind, who: Administrator, tenant_id: TenantIdPath, body: RetentionIn) -> RetentionOut:
    """Set all of it; null and what is left out: never. Applied once a day, in every space."""
    mind.accounts.members.require_own(who, tenant_id)
    return RetentionOut.model_validate(mind.privacy.retention.set(tenant_id, body.rules()))
