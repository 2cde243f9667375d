"""API keys, for programs."""

from __future__ import annotations

from fastapi import APIRouter

from apps.backend.access import Member
from apps.backend.dependencies import ApiKeyIdPath, Cursor, Limit, Mind
from apps.backend.schemas.accounts import ApiKeyIn, ApiKeyOut, NewApiKeyOut, RotateIn
from apps.backend.schemas.common import Page, listed, problems
from localmind.model import TenantId

router = APIRouter(prefix="/api/v1/api-keys", tags=["accounts"])

MISSING = problems(_404="No such API key.")


@router.get("", responses=listed(_409="The service runs without logins."))
def list_keys(mind: Mind, who: Member, limit: Limit = 50, cursor: Cursor = None) -> Page[ApiKeyOut]:
    """Your keys; for an administrator, the tenant's. The oldest first."""
    found = mind.accounts.api_keys.all(who, limit=limit, cursor=cursor)
    return Page(items=[ApiKeyOut.of(one) for one in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=201, responses=problems(_404="No such space.", _409="Too many keys, or no logins."))
def make_key(mind: Mind, who: Member, body: ApiKeyIn) -> NewApiKeyOut:
    """A key that acts for you, with these scopes at most. It is shown only now."""
    spaces = None if body.spaces is None else [TenantId(one) for one in body.spaces]
    return NewApiKeyOut.with_key(mind.accounts.api_keys.make(who, body.name, body.scopes, spaces=spaces, days=body.days))


@router.get("/{key_id}", responses=MISSING)
def get_key(mind: Mind, who: Member, key_id: ApiKeyIdPath) -> ApiKeyOut:
    """One key, without the key itself."""
    return ApiKeyOut.of(mind.accounts.api_keys.get(who, key_id))


@router.post("/{key_id}/rotate", status_code=201, responses=problems(_404="No such API key.", _409="It has ended, or been rotated."))
def rotate_key(mind: Mind, who: Member, key_id: ApiKeyIdPath, body: RotateIn) -> NewApiKeyOut:
    """A new key for the same; the old one holds for the overlap."""
    return NewApiKeyOut.with_key(mind.accounts.api_keys.rotate(who, key_id, overlap_hours=body.overlap_hours))


@router.delete("/{key_id}", status_code=204, responses=MISSING)
def delete_key(mind: Mind, who: Member, key_id: ApiKeyIdPath) -> None:
    """It holds no more: at once, within half a minute on other backends."""
    mind.accounts.api_keys.delete(who, key_id)
