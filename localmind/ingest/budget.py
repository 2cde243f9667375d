"""What a tenant's documents may cost in a period, and what they did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from localmind.catalog.spending import Bill, SpendingTable
from localmind.errors import BudgetSpent
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
        self, spending: SpendingTable, limits: Limits, prices: Prices, *, model: str, clock: Callable[[], datetime] = _now
    ) -> None:
        self._spending, self.limits, self.prices, self._model, self._clock = spending, limits, prices, model, clock

    def account(self, tenant: TenantId) -> Account:
        since, until = self._period()
        return Account(since, until, self._spending.since(tenant, since.date().isoformat()), self.limits)

    def allows(self, account: Account, expected: Spent) -> bool:
        """Whether what is expected to be spent next is left."""
        limits, bill = self.limits, account.bill
        if limits.tokens and bill.spent.tokens + expected.tokens > limits.tokens:
            return False
        return not (limits.cost and bill.cost + self.prices.of(expected) > limits.cost)

    def spend(self, tenant: TenantId, spent: Spent) -> float:
        """Write it down; returns what it cost."""
        cost = self.prices.of(spent)
        if spent.calls:
            self._spending.add(tenant, self._clock().date().isoformat(), self._model, spent, cost)
        return cost

    def spent_error(self, account: Account) -> BudgetSpent:
        """What a person is told when the budget does not allow the next call."""
        limits, bill = self.limits, account.bill
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
