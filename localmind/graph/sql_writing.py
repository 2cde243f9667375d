"""How what chunks say comes into the catalog's tables, and goes again: what SqlGraph writes, inside its transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from localmind.graph import statements as sql
from localmind.graph.likeness import block_of
from localmind.graph.merging import Merged, Names, RelationKey, Said, entity_id, merge
from localmind.graph.port import ChunkExtraction
from localmind.model import ChunkId, TenantId

K = TypeVar("K")


def replace(connection: sa.Connection, tenant: TenantId, said: Sequence[ChunkExtraction], names: Names | None) -> None:
    """What these chunks said before goes, what they say now comes. Chunks that the catalog does not have are passed over."""
    extractions = {each.chunk_id: each.extraction for each in said}
    rows = sql.rows(connection, sql.CHUNK_PKS, tenant=tenant, ids=list(extractions))
    chunk_pks: dict[ChunkId, int] = {ChunkId(row.id): row.pk for row in rows}
    spoke = [row.chunk_pk for row in sql.rows(connection, sql.CHUNKS_THAT_SPOKE, chunks=list(chunk_pks.values()))]
    if spoke:
        take_back(connection, spoke)
    merged = merge({key: value for key, value in extractions.items() if key in chunk_pks}, names)
    entity_pks = _write_entities(connection, tenant, merged)
    relation_pks = _write_relations(connection, tenant, merged, entity_pks)
    _insert(connection, sql.INSERT_MENTIONS, _rows(merged.mentions, chunk_pks, entity_pks))
    _insert(connection, sql.INSERT_EVIDENCE, _rows(merged.evidence, chunk_pks, relation_pks))


def take_back(connection: sa.Connection, chunk_pks: Sequence[int]) -> None:
    lost = _losses(sql.rows(connection, sql.DELETE_MENTIONS, chunks=chunk_pks))
    if lost:
        _each(connection, sql.LOWER_ENTITIES, [{"pk": pk, "gone": loss.chunks} for pk, loss in lost.items()])
        sql.run(connection, sql.DELETE_UNMENTIONED, pks=list(lost))
        _describe_again(connection, sql.DESCRIBED_ENTITIES, sql.DESCRIBE_ENTITY, lost)
    lost = _losses(sql.rows(connection, sql.DELETE_EVIDENCE, chunks=chunk_pks))
    if lost:
        values = [{"pk": pk, "gone": loss.chunks, "weight": loss.weight} for pk, loss in lost.items()]
        _each(connection, sql.LOWER_RELATIONS, values)
        sql.run(connection, sql.DELETE_UNPROVEN, pks=list(lost))
        _describe_again(connection, sql.DESCRIBED_RELATIONS, sql.DESCRIBE_RELATION, lost)


def _describe_again(connection: sa.Connection, described: str, describe: str, lost: Mapping[int, _Loss]) -> None:
    """What only a chunk that is gone has said is not shown any more."""
    pks = [pk for pk, loss in lost.items() if loss.descriptions]
    if not pks:
        return
    left = sql.rows(connection, described, pks=pks)
    values = [{"pk": row.pk} for row in left if row.description in lost[row.pk].descriptions]
    if values:
        _each(connection, describe, values)


def _write_entities(connection: sa.Connection, tenant: TenantId, merged: Merged) -> dict[str, int]:
    if not merged.entities:
        return {}
    keys = {entity_id(tenant, key): key for key in merged.entities}
    # In one order everywhere, so that two writers of PostgreSQL do not wait for each other.
    values = [
        {
            "id": id_,
            "tenant": tenant,
            "key": key,
            "name": found.name,
            "type": found.type,
            "description": found.description,
            "mentions": found.chunks,
            "block": block_of(key),
        }
        for id_, key in sorted(keys.items())
        for found in (merged.entities[key],)
    ]
    return {keys[row.id]: row.pk for row in connection.execute(sql.upsert_entities(_is_sqlite(connection)), values)}


def _write_relations(connection: sa.Connection, tenant: TenantId, merged: Merged, entity_pks: Mapping[str, int]) -> dict[RelationKey, int]:
    if not merged.relations:
        return {}
    ends = {(entity_pks[key.source], entity_pks[key.target], key.type): key for key in merged.relations}
    values = [
        {
            "tenant": tenant,
            "source_pk": at[0],
            "target_pk": at[1],
            "type": at[2],
            "description": found.description,
            "weight": found.weight,
            "chunks": found.chunks,
        }
        for at, key in sorted(ends.items())
        for found in (merged.relations[key],)
    ]
    rows = connection.execute(sql.upsert_relations(_is_sqlite(connection)), values)
    return {ends[row.source_pk, row.target_pk, row.type]: row.pk for row in rows}


def _insert(connection: sa.Connection, statement: str, rows: list[tuple[int, int, float, str | None]]) -> None:
    """By the driver: SQLAlchemy's own way with many rows takes longer than the engine."""
    if rows:
        connection.exec_driver_sql(statement if _is_sqlite(connection) else statement.replace("?", "%s"), rows)


class _Loss:
    """What an entity or a relation loses with chunks that go."""

    __slots__ = ("chunks", "descriptions", "weight")

    def __init__(self) -> None:
        self.chunks = 0
        self.weight = 0.0
        self.descriptions: set[str] = set()


def _losses(rows: Iterable[Any]) -> dict[int, _Loss]:
    """By pk, in its order: two writers of PostgreSQL do not wait for each other."""
    losses: dict[int, _Loss] = {}
    for pk, weight, description in rows:
        loss = losses.get(pk)
        if loss is None:
            loss = losses[pk] = _Loss()
        loss.chunks += 1
        loss.weight += weight
        if description is not None:
            loss.descriptions.add(description)
    return dict(sorted(losses.items()))


def _rows(
    said: Mapping[ChunkId, Mapping[K, Said]], chunk_pks: Mapping[ChunkId, int], pks: Mapping[K, int]
) -> list[tuple[int, int, float, str | None]]:
    """In the table's order: neighbours share its pages."""
    return sorted(
        (chunk_pks[chunk_id], pks[key], what.weight, what.description or None)
        for chunk_id, items in said.items()
        for key, what in items.items()
    )


def _each(connection: sa.Connection, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(sql.statement(statement, _is_sqlite(connection)), values)


def _is_sqlite(connection: sa.Connection) -> bool:
    return connection.dialect.name == "sqlite"
