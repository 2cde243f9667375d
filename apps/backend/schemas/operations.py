"""Bodies of health and maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, StrictBool

from apps.backend.schemas.common import NoBool, Reply, Request, Time

if TYPE_CHECKING:
    from localmind.catalog.quotas import Held
    from localmind.ingest.budget import Account
    from localmind.limits.quotas import Quota
    from localmind.limits.usage import DayUsage


class HealthOut(Reply):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "healthy", "version": "0.1.0", "services": {"catalog": "healthy", "vectors": "healthy"}}]
        }
    )

    status: Literal["healthy", "degraded", "maintenance", "unhealthy", "starting"]
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


class DayOut(Reply):
    """What the tenant used on a day (UTC). `requests`: of the API. `size_bytes`: of accepted documents, new versions too."""

    day: date
    requests: int
    searches: int
    chats: int
    documents: int
    size_bytes: int
    chunks: int
    embedding_tokens: int = Field(description="Estimated from the chunks' texts, rather too high.")
    llm_calls: int
    llm_prompt_tokens: int
    llm_completion_tokens: int
    llm_cost: float


class UsageOut(Reply):
    """What the LLM cost the tenant, all its spaces together, in the period of the budget, and what was used by day.

    A budget of null is no limit.
    """

    since: Time
    until: Time
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float = Field(description="By LLM_PRICE_INPUT and LLM_PRICE_OUTPUT at the time.")
    budget_tokens: int | None
    budget_cost: float | None
    days: list[DayOut] = Field(description="Those on which something was used, from `from` to `to`.")

    @classmethod
    def of(cls, account: Account, days: Sequence[DayUsage]) -> UsageOut:
        spent = account.bill.spent
        return cls(
            since=account.since,
            until=account.until,
            **spent._asdict(),
            cost=account.bill.cost,
            budget_tokens=account.limits.tokens or None,
            budget_cost=account.limits.cost or None,
            days=[DayOut.model_validate(day) for day in days],
        )


class HeldOut(Reply):
    """What the tenant has. `size_bytes` and `chunks`: of all versions that are kept. `jobs`: waiting or running, but deletes."""

    documents: int
    size_bytes: int
    chunks: int
    jobs: int


class LimitsOut(Reply):
    """A tenant's limits, all its spaces together; 0: none. `llm_tokens` and `llm_cost`: in a period of the budget."""

    upload_mb: float
    documents: float
    storage_mb: float
    chunks: float
    jobs: float
    query_chars: float
    message_chars: float
    llm_tokens: float
    llm_cost: float
    held: HeldOut

    @classmethod
    def of(cls, quota: Quota, held: Held) -> LimitsOut:
        return cls(**asdict(quota), held=HeldOut.model_validate(held))


LimitIn = Annotated[float, Field(ge=0, le=1e15), NoBool]


class LimitsIn(Request):
    """Those that are named change; null: as the settings have it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"documents": 10000, "storage_mb": 5000, "llm_cost": None}]})

    upload_mb: LimitIn | None = None
    documents: LimitIn | None = None
    storage_mb: LimitIn | None = None
    chunks: LimitIn | None = None
    jobs: LimitIn | None = None
    query_chars: LimitIn | None = None
    message_chars: LimitIn | None = None
    llm_tokens: LimitIn | None = None
    llm_cost: LimitIn | None = None


class CheckOut(Reply):
    """One thing that was looked at. `hint` says how to mend it."""

    name: str
    ok: bool
    detail: str
    hint: str


class DoctorOut(Reply):
    checks: list[CheckOut]
