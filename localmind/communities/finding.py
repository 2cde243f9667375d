"""Which entity is in which community: found anew over the whole network, or brought up to date around what changed. Pure but for reads.

All anew costs as much as the graph is large. Around a change it costs as much as the change: new entities join the community that they
are tied to most, or found their own; those that are gone leave theirs; all others stay, and keep what was written about them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from localmind.communities.clustering import LEAST_MEMBERS, Group, association, communities, groups_of, network
from localmind.communities.port import Link
from localmind.ids import stable_id
from localmind.model import CommunityId, EntityId, TenantId

SAME = 0.5
"""A community is the one of before, with its id, when they share more than this of the members of both. No two can be."""


class Place(NamedTuple):
    """Of a community in the tree."""

    level: int
    parent: CommunityId | None


@dataclass(slots=True)
class Partition:
    """finest: the deepest community of each entity; None: it is in none."""

    finest: dict[EntityId, CommunityId | None] = field(default_factory=dict)
    tree: dict[CommunityId, Place] = field(default_factory=dict)

    def line(self, community: CommunityId | None) -> Iterator[CommunityId]:
        """The community and those it lies in, the finest first."""
        while community is not None:
            yield community
            community = self.tree[community].parent

    def members(self) -> dict[CommunityId, list[EntityId]]:
        """Of every community, those of finer ones too."""
        found: dict[CommunityId, list[EntityId]] = {community: [] for community in self.tree}
        for entity, finest in self.finest.items():
            for community in self.line(finest):
                found[community].append(entity)
        return found


class Edges:
    """Relations as int arrays, filled batch by batch."""

    def __init__(self, mentions: Mapping[EntityId, int]) -> None:
        """mentions: of the entities that are nodes; relations to others are left out."""
        self.ids = list(mentions)
        self._at = {entity: n for n, entity in enumerate(self.ids)}
        self._mentions = np.fromiter(mentions.values(), np.int64, len(mentions))
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, links: Iterable[Link]) -> None:
        at = self._at
        known = [(at[source], at[target], weight) for source, target, weight in links if source in at and target in at]
        if known:
            sources, targets, weights = zip(*known, strict=True)
            self._parts.append((np.array(sources, np.int64), np.array(targets, np.int64), np.array(weights, np.float64)))

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """sources, targets, and how much they belong together."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        sources, targets, weights = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        self._parts = [(sources, targets, weights)]
        return sources, targets, association(weights, self._mentions[sources], self._mentions[targets])


def anew(tenant: TenantId, edges: Edges, before: Partition) -> Partition:
    """All communities of the network. One that is still much the same keeps its id."""
    groups = communities(network(len(edges.ids), *edges.arrays()))
    names = _names(tenant, edges.ids, groups, before)
    found = Partition(dict.fromkeys(edges.ids))
    for name, group in zip(names, groups, strict=True):
        found.tree[name] = Place(group.level, names[group.parent] if group.parent >= 0 else None)
        for node in group.members.tolist():
            found.finest[edges.ids[node]] = name
    return found


def _names(tenant: TenantId, ids: Sequence[EntityId], groups: Sequence[Group], before: Partition) -> list[CommunityId]:
    sizes: dict[CommunityId, int] = defaultdict(int)
    for entity in before.finest:
        for community in before.line(before.finest[entity]):
            sizes[community] += 1
    names: list[CommunityId] = []
    taken = set(sizes)
    for group in groups:
        members = [ids[node] for node in group.members.tolist()]
        shared: dict[CommunityId, int] = defaultdict(int)
        for entity in members:
            for community in before.line(before.finest.get(entity)):
                if before.tree[community].level == group.level:
                    shared[community] += 1
        kept = next((known for known, both in shared.items() if both > SAME * (sizes[known] + len(members) - both)), None)
        names.append(kept or new_id(tenant, group.level, members, taken))
        taken.add(names[-1])
    return names


def new_id(tenant: TenantId, level: int, members: Iterable[EntityId], taken: set[CommunityId]) -> CommunityId:
    """Of the members that it begins with."""
    first = sorted(members)
    turn = 0
    while (found := CommunityId(stable_id("community", tenant, level, turn, *first))) in taken:
        turn += 1
    return found


def around(
    tenant: TenantId,
    before: Partition,
    new: Mapping[EntityId, int],
    gone: Iterable[EntityId],
    links: Iterable[Sequence[Link]],
    mentions: Mapping[EntityId, int],
) -> Partition:
    """The communities of before, with new entities in and those that are gone out. links: all that touch the new ones, in batches.

    mentions: of all entities. The new ones are grouped among themselves; each group goes where it is tied most, or stays by itself
    where it is tied most to itself.
    """
    found = Partition(dict(before.finest), dict(before.tree))
    for entity in gone:
        found.finest.pop(entity, None)
    inward = Edges(new)
    outward: dict[EntityId, dict[CommunityId, float]] = defaultdict(lambda: defaultdict(float))
    for batch in links:
        inward.add(batch)  # which leaves out what leads to others
        for own, community, weight in _ties(found, new, batch, mentions):
            outward[own][community] += weight
    _settle(tenant, found, inward, outward)
    _dissolve(found)
    return found


def _ties(
    found: Partition, new: Collection[EntityId], links: Sequence[Link], mentions: Mapping[EntityId, int]
) -> Iterator[tuple[EntityId, CommunityId, float]]:
    """How much new entities belong to communities, by each link between them."""
    across = [link if link.source in new else Link(link.target, link.source, link.weight) for link in links]
    across = [link for link in across if link.target not in new and found.finest.get(link.target) is not None]
    counts = np.array([(mentions.get(own, 1), mentions.get(other, 1)) for own, other, _ in across], np.int64).reshape(-1, 2)
    tied = association(np.array([link.weight for link in across], np.float64), counts[:, 0], counts[:, 1])
    for link, weight in zip(across, tied.tolist(), strict=True):
        community = found.finest[link.target]
        if community is not None:
            yield link.source, community, weight


def _settle(tenant: TenantId, found: Partition, inward: Edges, outward: Mapping[EntityId, Mapping[CommunityId, float]]) -> None:
    sources, targets, weights = inward.arrays()
    grouped = [group.tolist() for group in groups_of(network(len(inward.ids), sources, targets, weights))]
    group_of = {node: n for n, group in enumerate(grouped) for node in group}
    alone = [[node] for node in range(len(inward.ids)) if node not in group_of]
    inside = [0.0] * len(grouped) + [0.0] * len(alone)
    for source, target, weight in zip(sources.tolist(), targets.tolist(), weights.tolist(), strict=True):
        if group_of[source] == group_of[target]:
            inside[group_of[source]] += weight
    taken = set(found.tree)
    for group, own in zip([*grouped, *alone], inside, strict=True):
        members = [inward.ids[node] for node in group]
        ties: dict[CommunityId, float] = defaultdict(float)
        for entity in members:
            for community, weight in outward.get(entity, {}).items():
                ties[community] += weight
        nearest = min(ties, key=lambda community: (-ties[community], community), default=None)
        if len(members) >= LEAST_MEMBERS and (nearest is None or ties[nearest] < own):
            nearest = new_id(tenant, 0, members, taken)
            taken.add(nearest)
            found.tree[nearest] = Place(0, None)
        for entity in members:
            found.finest[entity] = nearest


def _dissolve(found: Partition) -> None:
    """Communities that are too small by now: what is left of them belongs to the one around."""
    members = found.members()
    for community in sorted(found.tree, key=lambda one: -found.tree[one].level):
        if len(members[community]) < LEAST_MEMBERS:
            parent = found.tree.pop(community).parent
            for entity in members[community]:
                found.finest[entity] = parent
