"""What operations find out, as data for every door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from localmind.model import TenantId


@dataclass(frozen=True, slots=True)
class Finding:
    """A disagreement between the catalog and an index. id: the chunk, entity, blob or source it is about."""

    store: str
    kind: str
    tenant: TenantId
    id: str
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """findings: at most 1,000 of `count`. clean: nothing was found, or all of it was mended."""

    findings: tuple[Finding, ...]
    count: int
    checked: Mapping[str, int]

    @property
    def clean(self) -> bool:
        return self.count == 0 or all(finding.fixed for finding in self.findings)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    sources: int
    chunks: int
    took_s: float


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What lies in the engines that were moved to, by table and index, and where they differ from the ones moved from."""

    counts: Mapping[str, int]
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """What a tenant has. disk_bytes: by store; 0 where the store is elsewhere."""

    sources: int
    chunks: int
    vectors: int
    entities: int
    jobs: Mapping[str, int]
    disk_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """status: healthy, degraded (an index is away: answers are poorer), unhealthy (nothing works), starting."""

    status: str
    version: str
    services: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Check:
    """A line of `doctor`: what was looked at, how it is, and how to mend it."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
