"""Merges as a forest over entity keys: what joins, what is cut, and what must stay apart. Pure."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from localmind.graph.merging import Canonical

MACHINE = "machine"
PERSON = "person"
ABBREVIATION = "abbreviation"

Key = str


class Alias(NamedTuple):
    """An edge: key was merged into into_key. score: from 0 to 1, how sure whoever did it was."""

    key: Key
    name: str
    into_key: Key
    root_key: Key
    root_name: str
    why: str
    score: float
    by: str
    at: float

    @property
    def is_by_machine(self) -> bool:
        return self.by == MACHINE


class Merge(NamedTuple):
    """Two entities that are to be one; which of the two goes is decided when it is recorded."""

    one: Canonical
    other: Canonical
    why: str
    score: float
    by: str = MACHINE


class Forest:
    """Edges of some trees, all of each of them, in memory."""

    def __init__(self, edges: Mapping[Key, Alias], merges: Iterable[Merge]) -> None:
        self._edges: dict[Key, Alias] = dict(edges)
        self._names = {each.key: each.name for merge in merges for each in (merge.one, merge.other)}
        self._known: dict[Key, Alias] = {}

    def add(self, edges: Iterable[Alias]) -> None:
        for edge in edges:
            self._edges[edge.key] = edge
        self._known = dict(self._edges)

    def root(self, key: Key) -> Key:
        return self._edges[key].root_key if key in self._edges else key

    def roots(self) -> set[Key]:
        return {self.root(key) for key in (*self._names, *self._edges)}

    def members(self) -> set[Key]:
        return {*self._edges, *self.roots()}

    def _group(self, root: Key) -> set[Key]:
        return {root, *(key for key, edge in self._edges.items() if edge.root_key == root)}

    def parts(self, merge: Merge, kept_apart: set[frozenset[Key]]) -> bool:
        """Whether the merge would bring together what is to stay apart."""
        one, other = self._group(self.root(merge.one.key)), self._group(self.root(merge.other.key))
        return any(len(pair & one) == 1 and len(pair & other) == 1 for pair in kept_apart)

    def pairs_within(self, key: Key, kept_apart: set[frozenset[Key]]) -> list[frozenset[Key]]:
        group = self._group(self.root(key))
        return [pair for pair in kept_apart if pair <= group]

    def join(self, merge: Merge, mentions: Mapping[Key, int], into: Key | None) -> Alias | None:
        """The edge that makes the two one; None where they are."""
        roots = [self.root(merge.one.key), self.root(merge.other.key)]
        if roots[0] == roots[1]:
            return None
        goes, stays = sorted(roots, key=lambda root: (root == into, mentions.get(root, 0), len(self._name(root)), root))
        edge = Alias(goes, self._name(goes), stays, stays, self._name(stays), merge.why, merge.score, merge.by, time.time())
        for key in self._group(goes) - {goes}:
            self._edges[key] = self._edges[key]._replace(root_key=stays, root_name=edge.root_name)
        self._edges[goes] = edge
        return edge

    def cut(self, keys: Collection[Key]) -> set[Key]:
        """Take these edges out; returns the keys of the trees that they carried."""
        for key in keys:
            del self._edges[key]
        moved = set(keys)
        names = {key: self._known[key].name for key in keys}
        for key, edge in list(self._edges.items()):
            root = key
            while root in self._edges:
                root = self._edges[root].into_key
            if root != edge.root_key:
                self._edges[key] = edge._replace(root_key=root, root_name=names[root])
                moved.add(key)
        return moved

    def _name(self, root: Key) -> str:
        named = next((edge.root_name for edge in self._edges.values() if edge.root_key == root), None)
        return named or self._names.get(root, root)

    def changed(self) -> list[Alias]:
        return [edge for key, edge in sorted(self._edges.items()) if self._known.get(key) != edge]
