"""Writes to the graph in Neo4j, and takes back. Every function works inside the caller's transaction.

Locks are taken in one order (localmind/neo4j/chunks.py): documents, chunks, entities by id. Whoever holds both ends of a relation
holds the relation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localmind.graph import cypher
from localmind.graph.likeness import block_of
from localmind.graph.merging import ANY_TYPE, Merged, Names, Said, entity_id, merge
from localmind.graph.port import ChunkExtraction
from localmind.model import ChunkId, ExtractedEntity, ExtractedRelation, Extraction, TenantId
from localmind.neo4j.chunks import prune, put
from localmind.neo4j.driver import rows

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

Rows = list[dict[str, Any]]


def replace(tx: ManagedTransaction, tenant: TenantId, said: Sequence[ChunkExtraction], names: Names | None = None) -> None:
    """What these chunks say, in place of what they said."""
    sources = {each.chunk_id: each.source_id for each in said}
    merged = merge({each.chunk_id: each.extraction for each in said}, names)
    speaking = [{"id": id_, "source_id": sources[id_]} for id_ in merged.mentions]
    if speaking:
        put(tx, tenant, dict.fromkeys(sources[id_] for id_ in merged.mentions), speaking)
    entities = _entities(tenant, merged)
    take_back(tx, tenant, sorted(sources), also=[entity["id"] for entity in entities])
    if entities:
        tx.run(cypher.UPSERT_ENTITIES, tenant=tenant, entities=entities, any_type=ANY_TYPE).consume()
        tx.run(cypher.UPSERT_RELATIONS, tenant=tenant, relations=_relations(tenant, merged)).consume()
        tx.run(cypher.INSERT_MENTIONS, tenant=tenant, chunks=_chunks(tenant, merged)).consume()
    silent = sorted(sources.keys() - merged.mentions.keys())
    if silent:
        prune(tx, tenant, silent)


def take_back(tx: ManagedTransaction, tenant: TenantId, ids: Sequence[ChunkId], *, also: Iterable[str] = ()) -> None:
    """What these chunks said. also: entities that the transaction will write, so that all are locked in one order."""
    spoke = {row["id"]: row["said"] or [] for row in rows(tx, cypher.CHUNKS_THAT_SPOKE, tenant=tenant, ids=ids)}
    if not spoke:
        return
    chunks = list(spoke)
    mentions = _Losses()
    for row in rows(tx, cypher.MENTIONS, tenant=tenant, ids=chunks):
        mentions.add((row["id"],), row["weight"], row["description"])
    relations = _Losses()
    for line in (line for lines in spoke.values() for line in lines):
        source, target, kind, weight, description = json.loads(line)
        relations.add((source, target, kind), weight, description)
    tx.run(cypher.LOCK_ENTITIES, tenant=tenant, ids=sorted({*also, *(key[0] for key in mentions.by_key)})).consume()
    tx.run(cypher.FORGET, tenant=tenant, ids=chunks).consume()
    if relations.by_key:
        tx.run(cypher.LOWER_RELATIONS, tenant=tenant, lost=relations.rows()).consume()
        _describe_relations(tx, tenant, relations)
    tx.run(cypher.LOWER_ENTITIES, tenant=tenant, lost=mentions.rows()).consume()
    described = mentions.described()
    if described:
        tx.run(cypher.DESCRIBE_ENTITIES, tenant=tenant, lost=described).consume()


def spoken(said: Sequence[str], entities: Sequence[Mapping[str, Any]]) -> Extraction:
    """A chunk's lines of `said`, and the entities that it mentions with what it says of them, as the extraction that they were."""
    known = {entity["id"]: entity for entity in entities}
    relations = [json.loads(line) for line in said]
    relations.sort(key=lambda line: (known[line[0]]["key"], known[line[1]]["key"], line[2]))
    return Extraction(
        tuple(ExtractedEntity(each["name"], each["type"], each["description"], each["weight"]) for each in entities),
        tuple(
            ExtractedRelation(known[source]["name"], known[target]["name"], kind, description, weight)
            for source, target, kind, weight, description in relations
        ),
    )


def _describe_relations(tx: ManagedTransaction, tenant: TenantId, lost: _Losses) -> None:
    """What only a chunk that is gone has said is not shown any more."""
    described = [{**row, "prefix": _prefix(*row["key"])} for row in lost.described()]
    if not described:
        return
    shown = [row.data() for row in rows(tx, cypher.DESCRIBED_RELATIONS, tenant=tenant, lost=described)]
    longest = {tuple(row["key"]): "" for row in shown}
    if not longest:
        return
    for row in rows(tx, cypher.SAID_OF_RELATIONS, tenant=tenant, relations=shown):
        key, description = tuple(row["key"]), json.loads(row["said"])[4]
        longest[key] = max(longest[key], description, key=len)
    again = [{"key": list(key), "description": description} for key, description in longest.items()]
    tx.run(cypher.DESCRIBE_RELATIONS, tenant=tenant, lost=again).consume()


class _Losses:
    """What entities or relations lose with chunks that go, by their key."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[str, ...], dict[str, Any]] = {}

    def add(self, key: tuple[str, ...], weight: float, description: str | None) -> None:
        loss = self.by_key.setdefault(key, {"chunks": 0, "weight": 0.0, "descriptions": []})
        loss["chunks"] += 1
        loss["weight"] += weight
        if description and description not in loss["descriptions"]:
            loss["descriptions"].append(description)

    def rows(self) -> Rows:
        return [{"key": list(key), **loss} for key, loss in sorted(self.by_key.items())]

    def described(self) -> Rows:
        return [row for row in self.rows() if row["descriptions"]]


def _entities(tenant: TenantId, merged: Merged) -> Rows:
    found: Rows = [
        {
            "id": entity_id(tenant, key),
            "key": key,
            "name": each.name,
            "type": each.type,
            "description": each.description,
            "mentions": each.chunks,
            "block": block_of(key),
        }
        for key, each in merged.entities.items()
    ]
    return sorted(found, key=lambda row: str(row["id"]))


def _relations(tenant: TenantId, merged: Merged) -> Rows:
    return [
        {
            "source": entity_id(tenant, key.source),
            "target": entity_id(tenant, key.target),
            "type": key.type,
            "description": each.description,
            "weight": each.weight,
            "chunks": each.chunks,
        }
        for key, each in merged.relations.items()
    ]


def _chunks(tenant: TenantId, merged: Merged) -> Rows:
    return [
        {
            "id": id_,
            "mentions": [[entity_id(tenant, key), said.weight, said.description or None] for key, said in _sorted(mentions)],
            "said": [
                _prefix(entity_id(tenant, key.source), entity_id(tenant, key.target), key.type) + json.dumps([*said])[1:]
                for key, said in merged.evidence.get(id_, {}).items()
            ],
        }
        for id_, mentions in merged.mentions.items()
    ]


def _sorted(mentions: Mapping[str, Said]) -> list[tuple[str, Said]]:
    return sorted(mentions.items())


def _prefix(source: str, target: str, kind: str) -> str:
    """How a line of `said` begins that speaks of this relation: JSON of [source, target, type, weight, description]."""
    return json.dumps([source, target, kind])[:-1] + ", "
