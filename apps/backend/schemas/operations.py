"""Bodies of health and maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field, StrictBool

from apps.backend.schemas.common import Reply, Request, Time

if TYPE_CHECKING:
    from localmind.ingest.budget import Account


class HealthOut(Reply):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "healthy", "version": "0.1.0", "services": {"catalog": "healthy", "vectors": "healthy"}}]
        }
    )

    status: Literal["healthy", "degraded", "unhealthy", "starting"]
    version: str
    services: dict[str, Literal["healthy", "unhealthy"]]


class Alive(Reply):
    """`instance` is new with every start of the process."""

    status: Literal["alive"] = "alive"
    instance: str


class Ready(Reply):
    status: Literal["ready"] = "ready"


class ReconcileIn(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"check": True}]})

    check: StrictBool = Field(False, description="Only report; change nothing.")


class FindingOut(Reply):
    """A disagreement between the catalog and another store. `id`: the chunk, entity, file or source that it is about."""

    store: str
    kind: str
    tenant: str
    id: str
    fixed: bool


class ReconcileOut(Reply):
    """`findings`: at most 1,000 of `count`. `clean`: nothing was found, or all of it was mended."""

    findings: list[FindingOut]
    count: int
    checked: dict[str, int] = Field(description="How much was looked at, by store.")
    clean: bool


class RebuildOut(Reply):
    """What was made anew."""

    sources: int
    chunks: int
    took_s: float


class StatsOut(Reply):
    """What there is."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "sources": 12,
                    "chunks": 2104,
                    "vectors": 2104,
                    "entities": 3150,
                    "jobs": {"succeeded": 12},
                    "disk_bytes": {"catalog": 9043968, "vectors": 4199424},
                }
            ]
        },
    )

    sources: int
    chunks: int
    vectors: int
    entities: int
    jobs: dict[str, int] = Field(description="By status.")
    disk_bytes: dict[str, int] = Field(description="By store; 0 where the store is elsewhere. Of all tenants: empty but for operators.")


class UsageOut(Reply):
    """What the LLM cost for documents in the period of the budget. A budget of null is no limit."""

    since: Time
    until: Time
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float = Field(description="By LLM_PRICE_INPUT and LLM_PRICE_OUTPUT at the time.")
    budget_tokens: int | None
    budget_cost: float | None

    @classmethod
    def of(cls, account: Account) -> UsageOut:
        spent = account.bill.spent
        return cls(
            since=account.since,
            until=account.until,
            **spent._asdict(),
            cost=account.bill.cost,
            budget_tokens=account.limits.tokens or None,
            budget_cost=account.limits.cost or None,
        )


class CheckOut(Reply):
    """One thing that was looked at. `hint` says how to mend it."""

    name: str
    ok: bool
    detail: str
    hint: str


class DoctorOut(Reply):
    checks: list[CheckOut]
