"""Communities of a network by the Leiden algorithm, coarse ones split into finer ones. Pure.

Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing well-connected communities", Scientific Reports 9, 2019; in Rust, over
int arrays, without Python's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

SEED = 20_260_101
"""The same network gives the same communities."""

LEAST_MEMBERS = 3
"""A smaller group is no community; its members belong to the one around it, if there is one."""

LEAST_FINER = 8
"""The same of communities inside others."""

SPLIT_ABOVE = 60
"""A community of more members is looked at for finer ones."""

LEVELS = 3


class Network(NamedTuple):
    """Undirected, in compressed rows: neighbours of node n are neighbors[pointers[n]:pointers[n + 1]], ascending, weights beside them."""

    pointers: Ints
    neighbors: NDArray[np.int32]
    weights: Floats

    @property
    def nodes(self) -> int:
        return len(self.pointers) - 1


class Group(NamedTuple):
    """A community. members: nodes, ascending, those of finer communities too. parent: its place in the list, before its own; -1: none."""

    level: int
    parent: int
    members: Ints


def association(weights: Floats, source_mentions: Ints, target_mentions: Ints) -> Floats:
    """How much two entities belong together: their relation's weight over the root of both counts of mentions (Ochiai's coefficient).

    What is named everywhere is related to everything, and tells as little: hubs do not glue communities together.
    """
    damped: Floats = weights / np.sqrt(np.maximum(source_mentions, 1) * np.maximum(target_mentions, 1))
    return damped


def network(nodes: int, sources: Ints, targets: Ints, weights: Floats) -> Network:
    """Parallel edges, in whichever direction, are one, their weights summed; an edge to itself is none."""
    keep = sources != targets
    low, high = np.minimum(sources, targets)[keep], np.maximum(sources, targets)[keep]
    codes, place = np.unique(low * nodes + high, return_inverse=True)
    summed = _sums(place, weights[keep], len(codes))
    low, high = codes // max(nodes, 1), codes % max(nodes, 1)
    rows, columns = np.concatenate((low, high)), np.concatenate((high, low))
    order = np.lexsort((columns, rows))
    pointers = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=nodes), out=pointers[1:])
    return Network(pointers, columns[order].astype(np.int32), np.concatenate((summed, summed))[order])


def communities(whole: Network) -> list[Group]:
    """Every level's, parents before their children, within a parent the largest first. Nodes in none have no neighbours, or few."""
    found: list[Group] = []
    waiting = [(-1, np.flatnonzero(np.diff(whole.pointers)))]
    for level in range(LEVELS):
        groups = [Group(level, parent, members) for parent, inside in waiting for members in _split(whole, inside, parent=parent)]
        first = len(found)
        found += groups
        waiting = [(first + n, group.members) for n, group in enumerate(groups) if len(group.members) > SPLIT_ABOVE]
    return found


def groups_of(whole: Network) -> list[Ints]:
    """One level's communities, the largest first; the least have one node."""
    from graspologic_native import leiden_csr

    if not len(whole.neighbors):
        return []
    _, label_of = leiden_csr(*whole, whole.nodes, seed=SEED, iterations=2)
    nodes = np.fromiter(label_of.keys(), np.int64, len(label_of))
    labels = np.fromiter(label_of.values(), np.int64, len(label_of))
    order = np.lexsort((nodes, labels))
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    parts = [part for part in np.split(nodes[order], ends) if len(part)]
    return sorted(parts, key=lambda part: (-len(part), int(part[0])))


def within(whole: Network, members: Ints) -> Network:
    """The network among the members, numbered as they stand there (ascending)."""
    lengths = np.diff(whole.pointers)[members]
    rows = np.repeat(np.arange(len(members)), lengths)
    begins = np.cumsum(lengths) - lengths
    at = np.repeat(whole.pointers[members] - begins, lengths) + np.arange(lengths.sum())
    columns = np.searchsorted(members, whole.neighbors[at])
    inside = members[np.minimum(columns, len(members) - 1)] == whole.neighbors[at]
    pointers = np.zeros(len(members) + 1, np.int64)
    np.cumsum(np.bincount(rows[inside], minlength=len(members)), out=pointers[1:])
    return Network(pointers, columns[inside].astype(np.int32), whole.weights[at][inside])


def _sums(places: Ints, values: Floats, length: int) -> Floats:
    return np.bincount(places, values, minlength=length).astype(np.float64)


def _split(whole: Network, inside: Ints, *, parent: int) -> Iterator[Ints]:
    """The communities among some nodes; none where a parent would have but one."""
    part = whole if len(inside) == whole.nodes else within(whole, inside)
    least = LEAST_MEMBERS if parent < 0 else LEAST_FINER
    found = [inside[group] for group in groups_of(part) if len(group) >= least]
    if parent < 0 or len(found) > 1:
        yield from found
