"""What was done in the tenant, by whom and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from apps.backend.access import Administrator
from apps.backend.dependencies import Cursor, Limit, Mind
from apps.backend.schemas.audit import AuditOut
from apps.backend.schemas.common import Id, Moment, Page, listed
from localmind.accounts.model import UserId
from localmind.catalog.audit import Event

router = APIRouter(prefix="/api/v1/audit", tags=["accounts"])


@router.get("", responses=listed())
def list_events(
    mind: Mind,
    who: Administrator,
    event: Event | None = None,
    user_id: Annotated[Id | None, Query(description="Who did it.")] = None,
    since: Annotated[Moment | None, Query(description="Not before this time.")] = None,
    until: Annotated[Moment | None, Query(description="Before this time.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditOut]:
    """Events of the tenant and all its spaces, the newest first."""
    mind.audit.flush()
    found = mind.audit.table.page(
        who.tenant,
        event=event,
        user_id=None if user_id is None else UserId(user_id),
        since=None if since is None else since.timestamp(),
        until=None if until is None else until.timestamp(),
        limit=limit,
        cursor=cursor,
    )
    return Page(items=[AuditOut.of(one) for one in found.items], next_cursor=found.next_cursor)
