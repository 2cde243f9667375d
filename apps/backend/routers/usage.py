"""What a tenant used, and what it may."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response

from apps.backend.access import Administrator, Operator, Reader
from apps.backend.dependencies import Mind, TenantIdPath
from apps.backend.schemas.common import problems
from apps.backend.schemas.operations import LimitsIn, LimitsOut, UsageOut
from localmind.errors import NotFound
from localmind.model import TenantId

if TYPE_CHECKING:
    from localmind.limits.usage import DayUsage

router = APIRouter(prefix="/api/v1", tags=["maintenance"])

CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "As JSON, or as CSV with a line a day.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
NO_TENANT = problems(_404="No such tenant.")


@router.get("/usage", responses={**CSV, **problems(_400="Not a span of at most 366 days.")}, response_model=UsageOut)
def usage(
    mind: Mind,
    tenant: Reader,
    first: Annotated[date | None, Query(alias="from", description="First day (UTC); else that of the budget's period.")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day; else today.")] = None,
    format: Annotated[Literal["json", "csv"] | None, Query(description="Else as Accept says.")] = None,
    accept: Annotated[str, Header(max_length=1000, include_in_schema=False)] = "",
) -> UsageOut | Response:
    """What the tenant used by day, all its spaces together, and what its LLM cost in this period. As CSV for a bill."""
    account = mind.budget.account(tenant)
    today = datetime.now(UTC).date()
    last = last or max(today, first or today)
    days = mind.usage.report(tenant, first or min(last, account.since.date()), last)
    if format == "csv" or (format is None and accept.startswith("text/csv")):
        owner = mind.quotas.tenant_of(tenant)
        disposition = f'attachment; filename="usage-{owner}.csv"'
        return Response(_csv(owner, days), media_type="text/csv", headers={"Content-Disposition": disposition, "Vary": "Accept"})
    return UsageOut.of(account, days)


@router.get("/tenants/{tenant_id}/limits", responses=NO_TENANT)
def get_limits(mind: Mind, who: Administrator, tenant_id: TenantIdPath) -> LimitsOut:
    """What your tenant may have, and has; of another one for who runs the service."""
    if tenant_id != who.tenant and not who.is_operator:
        raise NotFound(f"There is no tenant {tenant_id!r}.", hint="You can look at the one that you are logged in to.")
    mind.quotas.require_tenant(tenant_id)
    return LimitsOut.of(mind.quotas.of(tenant_id), mind.quotas.held(tenant_id))


@router.patch("/tenants/{tenant_id}/limits", responses=problems(_403="Not for a tenant itself.", _404="No such tenant."))
def change_limits(mind: Mind, _: Operator, tenant_id: TenantIdPath, body: LimitsIn) -> LimitsOut:
    """Give a tenant limits of its own. They count at once, within half a minute on other backends and on workers."""
    quota = mind.quotas.change(tenant_id, body.model_dump(exclude_unset=True))
    return LimitsOut.of(quota, mind.quotas.held(tenant_id))


def _csv(tenant: TenantId, days: Sequence[DayUsage]) -> str:
    """RFC 4180."""
    from localmind.limits.usage import COLUMNS

    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(["tenant", *COLUMNS])
    table.writerows([tenant, *astuple(day)] for day in days)
    return written.getvalue()
