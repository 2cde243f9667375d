"""When something was last done to the whole installation: kept in the catalog, whoever does it, and read by the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from localmind.errors import InvalidInput

if TYPE_CHECKING:
    from localmind.catalog.catalog import Catalog


class Deed(StrEnum):
    """What an operator does from outside, and tells the catalog: it can't see a copy that was made of it."""

    BACKUP = "backup"
    RESTORE_DRILL = "restore-drill"


class Reconciled(NamedTuple):
    """left: findings by store that were not mended."""

    at: float
    left: Mapping[str, int]


RECONCILED = "reconciled"


def mark(catalog: Catalog, deed: Deed, at: datetime | None = None) -> datetime:
    """It was done well at that time, or now; an earlier mark stays where it is newer. Raises InvalidInput for a time to come."""
    now = datetime.now(UTC)
    done = now if at is None else at
    if done > now:
        raise InvalidInput(f"{done.isoformat()} is yet to come.", hint="Give the time at which it was done.")
    newest = max(done.timestamp(), last(catalog, deed))
    catalog.set_setting(_name(deed), newest)
    return datetime.fromtimestamp(newest, UTC)


def last(catalog: Catalog, deed: Deed) -> float:
    """Seconds since 1970; 0 where it was never marked."""
    value = catalog.setting(_name(deed))
    return float(value) if isinstance(value, int | float) else 0.0


def mark_reconciled(catalog: Catalog, left: Mapping[str, int]) -> None:
    catalog.set_setting(RECONCILED, {"at": datetime.now(UTC).timestamp(), "left": dict(left)})


def last_reconciled(catalog: Catalog) -> Reconciled | None:
    """None where it never was."""
    value = catalog.setting(RECONCILED)
    return Reconciled(float(value["at"]), value["left"]) if isinstance(value, dict) else None


def _name(deed: Deed) -> str:
    return f"last {deed}"
