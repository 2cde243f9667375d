"""From names to the entities that they mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from localmind.graph.merging import Names, entity_id, key_of
from localmind.graph.port import Graph
from localmind.model import Entity, TenantId

Meanings = Callable[[TenantId, Collection[str]], Names]
"""What keys mean by the merges on record."""


Named = Callable[[TenantId, str], Collection[str]]
"""Keys of entities that something with this in its key was merged into."""


def linked(graph: Graph, tenant: TenantId, names: Sequence[str], meanings: Meanings) -> Mapping[str, Entity]:
    """Those of the names that are known, whatever their spelling."""
    keys = {name: key for name in names if (key := key_of(name))}
    meant = meanings(tenant, set(keys.values()))
    ids = {name: entity_id(tenant, meant[key].key if key in meant else key) for name, key in keys.items()}
    known = {item.id: item for item in graph.get(tenant, list(dict.fromkeys(ids.values())))}
    return {name: known[id_] for name, id_ in ids.items() if id_ in known}


def as_written(_tenant: TenantId, _keys: Collection[str]) -> Names:
    """Where no merges are kept."""
    return {}


def as_they_are(_tenant: TenantId, _part: str) -> Collection[str]:
    """The same."""
    return ()
