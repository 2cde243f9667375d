"""The port of the graph as communities are found in it, beside localmind/graph/port.py: all entities, and relations in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from localmind.model import Community, CommunityId, EntityId, TenantId


class Counted(NamedTuple):
    entity: EntityId
    mentions: int


class Link(NamedTuple):
    """A relation, whatever it says."""

    source: EntityId
    target: EntityId
    weight: float


class Shown(NamedTuple):
    """A community as people meet it in the graph. members: entities that are in no finer one."""

    community: Community
    members: Sequence[EntityId]


class EntityNetwork(Protocol):
    """Every call may raise StoreUnavailable. Batches hold a few thousand rows, in no order."""

    def entities(self, tenant: TenantId) -> Iterator[Sequence[Counted]]:
        """Each once, as often as it is mentioned now."""

    def leaving(self, tenant: TenantId, entities: Sequence[EntityId]) -> Iterator[Sequence[Link]]:
        """Relations whose source is one of these: of all entities, every relation once."""

    def touching(self, tenant: TenantId, entities: Sequence[EntityId]) -> Iterator[Sequence[Link]]:
        """Relations of which one end, or both, is one of these; each once."""

    def among(self, tenant: TenantId, entities: Sequence[EntityId]) -> list[Link]:
        """Relations of which both ends are among these, a few thousand at most."""

    def show(self, tenant: TenantId, changed: Sequence[Shown], gone: Sequence[CommunityId]) -> None:
        """Keep communities where people explore the graph; nothing to do where it lies in the catalog, which has them."""

    def hide_all(self, tenant: TenantId) -> None:
        """Take back what was shown."""
