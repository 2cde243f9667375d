"""Spaces: knowledge bases of a tenant, each with its own documents, graph and conversations."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks

from apps.backend.access import Administrator, Member
from apps.backend.dependencies import Mind, SpaceIdPath, UserIdPath
from apps.backend.schemas.accounts import SpaceChange, SpaceIn, SpaceMemberIn, SpaceMemberOut, SpaceOut
from apps.backend.schemas.common import Page, problems

router = APIRouter(prefix="/api/v1/spaces", tags=["accounts"])

MISSING = problems(_404="No such space.")
CHANGE = problems(_404="No such space.", _409="The default space can't be changed.")
MEMBER = problems(_400="Not a role of a space.", _404="No such space or user.", _409="The default space has no members of its own.")


@router.get("", responses=problems())
def list_spaces(mind: Mind, who: Member) -> Page[SpaceOut]:
    """Those that you may enter, the default one first."""
    return Page(items=[SpaceOut.model_validate(one) for one in mind.accounts.spaces.all(who)])


@router.post("", status_code=201, responses=problems(_409="Too many spaces."))
def make_space(mind: Mind, who: Administrator, body: SpaceIn) -> SpaceOut:
    """A new, empty space. Name it in X-Space to work in it."""
    return SpaceOut.model_validate(mind.accounts.spaces.make(who, body.name, restricted=body.restricted))


@router.get("/{space_id}", responses=MISSING)
def get_space(mind: Mind, who: Member, space_id: SpaceIdPath) -> SpaceOut:
    """One space."""
    return SpaceOut.model_validate(mind.accounts.spaces.get(who, space_id))


@router.patch("/{space_id}", responses=CHANGE)
def change_space(mind: Mind, who: Member, space_id: SpaceIdPath, body: SpaceChange) -> SpaceOut:
    """Rename it, close or open it. For its administrators, as what follows."""
    return SpaceOut.model_validate(mind.accounts.spaces.change(who, space_id, name=body.name, restricted=body.restricted))


@router.delete("/{space_id}", status_code=202, responses=CHANGE)
def delete_space(mind: Mind, who: Administrator, space_id: SpaceIdPath, after: BackgroundTasks) -> None:
    """Nobody enters it from now on; its documents are deleted by jobs, its conversations with them."""
    mind.accounts.spaces.delete(who, space_id)
    after.add_task(mind.accounts.spaces.finish)


@router.get("/{space_id}/members", responses=MEMBER)
def list_members(mind: Mind, who: Member, space_id: SpaceIdPath) -> Page[SpaceMemberOut]:
    """Those with a role of their own in it, by address."""
    return Page(items=[SpaceMemberOut.model_validate(one) for one in mind.accounts.spaces.members(who, space_id)])


@router.put("/{space_id}/members/{user_id}", responses=MEMBER)
def put_member(mind: Mind, who: Member, space_id: SpaceIdPath, user_id: UserIdPath, body: SpaceMemberIn) -> SpaceMemberOut:
    """Give somebody of the tenant a role in it."""
    return SpaceMemberOut.model_validate(mind.accounts.spaces.put_member(who, space_id, user_id, body.role))


@router.delete("/{space_id}/members/{user_id}", status_code=204, responses=MEMBER)
def drop_member(mind: Mind, who: Member, space_id: SpaceIdPath, user_id: UserIdPath) -> None:
    """Take somebody's own role away; in an open space they keep that of the tenant."""
    mind.accounts.spaces.drop_member(who, space_id, user_id)
