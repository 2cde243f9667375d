"""What an LLM may cost a tenant in a period, all its spaces together, for documents and for answers; and what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from localmind import deadline
from localmind.catalog.spending import Bill, SpendingTable
from localmind.errors import BudgetSpent
from localmind.limits.quotas import Quotas
from localmind.llm.metering import Prices, Spent
from localmind.model import TenantId


@dataclass(frozen=True, slots=True)
class Limits:
    """tokens and cost: of a tenant in a period; 0: no limit. period: day or month, by the calendar in UTC."""

    tokens: int = 0
    cost: float = 0.0
    period: str = "month"


@dataclass(frozen=True, slots=True)
class Account:
    """Where a tenant stands in the period that began at `since` and ends at `until`."""

    since: datetime
    until: datetime
    bill: Bill
    limits: Limits


def _now() -> datetime:
    return datetime.now(UTC)


class Budget:
    """Held against what is spent on all models. Calls that are under way when it ends can overrun it by what they cost."""

    def __init__(
        self,
        spending: SpendingTable,
        limits: Limits,
        prices: Prices,
        *,
        model: str,
        quotas: Quotas | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """limits: of every tenant, without quotas, which know those of each and what spaces it has."""
        self._spending, self.limits, self.prices, self._model, self._clock = spending, limits, prices, model, clock
        self._quotas = quotas

    def account(self, tenant: TenantId) -> Account:
        since, until = self._period()
        limits, owner = self.limits, tenant
        if self._quotas is not None:
            quota, owner = self._quotas.of(tenant), self._quotas.tenant_of(tenant)
            limits = Limits(int(quota.llm_tokens), quota.llm_cost, limits.period)
        return Account(since, until, self._spending.since(owner, since.date().isoformat()), limits)

    def allows(self, account: Account, expected: Spent) -> bool:
        """Whether what is expected to be spent next is left."""
        limits, bill = account.limits, account.bill
        if limits.tokens and bill.spent.tokens + expected.tokens > limits.tokens:
            return False
        return not (limits.cost and bill.cost + self.prices.of(expected) > limits.cost)

    def spend(self, tenant: TenantId, spent: Spent) -> float:
        """Write it down; returns what it cost."""
        cost = self.prices.of(spent)
        if spent.calls:
            with deadline.lifted():
                owner = tenant if self._quotas is None else self._quotas.tenant_of(tenant)
                self._spending.add(owner, self._clock().date().isoformat(), self._model, spent, cost)
        return cost

    def spent_error(self, account: Account) -> BudgetSpent:
        """What a person is told when the budget does not allow the next call."""
        limits, bill = account.limits, account.bill
        used = [f"{bill.spent.tokens:,} of {limits.tokens:,} tokens"] if limits.tokens else []
        used += [f"{bill.cost:,.2f} of {limits.cost:,.2f} in money"] if limits.cost else []
        return BudgetSpent(
            f"The {limits.period}'s budget for the LLM is spent ({', '.join(used)}).",
            hint=f"It goes on by itself on {account.until:%Y-%m-%d} (UTC); or raise LLM_BUDGET_TOKENS or LLM_BUDGET_COST and run "
            "`localmind reingest --missing`.",
            until=account.until.timestamp(),
        )

    def _period(self) -> tuple[datetime, datetime]:
        today = self._clock().replace(hour=0, minute=0, second=0, microsecond=0)
        if self.limits.period == "day":
            return today, today + timedelta(days=1)
        first = today.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
