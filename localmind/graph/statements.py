"""The SQL of the graph, for SQLite and PostgreSQL.

Lists travel as one JSON parameter, so that a statement's text does not depend on their length and no limit on parameters
is met. TEXTS(:x), NUMBERS(:x) (lists, as column value) and WEIGHTS(:x) (an object from pk to weight, as columns pk and
weight) unpack them. Where the tenant stands beside a list, the list is CROSS JOINed: SQLite keeps that order, while of
`tenant = ? AND id IN (...)` it would read the whole tenant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from localmind.catalog.tables import entity, relation
from localmind.graph.merging import ANY_TYPE

_MACROS = {
    ("TEXTS", True): r"(SELECT value FROM json_each(:\1))",
    ("NUMBERS", True): r"(SELECT value FROM json_each(:\1))",
    ("WEIGHTS", True): r"(SELECT CAST(key AS INTEGER) AS pk, value AS weight FROM json_each(:\1))",
    ("TEXTS", False): r"(SELECT jsonb_array_elements_text(CAST(:\1 AS jsonb)) AS value)",
    ("NUMBERS", False): r"(SELECT CAST(jsonb_array_elements_text(CAST(:\1 AS jsonb)) AS bigint) AS value)",
    ("WEIGHTS", False): r"(SELECT CAST(key AS bigint) AS pk, CAST(value AS double precision) AS weight"
    r" FROM jsonb_each_text(CAST(:\1 AS jsonb)))",
}


@lru_cache(maxsize=256)
def statement(sql: str, is_sqlite: bool) -> sa.TextClause:  # noqa: FBT001 - the cache's key
    for (macro, for_sqlite), meaning in _MACROS.items():
        if for_sqlite == is_sqlite:
            sql = re.sub(rf"\b{macro}\(:(\w+)\)", meaning, sql)
    return sa.text(sql)


def run(connection: sa.Connection, sql: str, **values: Any) -> sa.CursorResult[Any]:
    """Lists and mappings travel as JSON."""
    given = {name: json.dumps(value) if isinstance(value, (list, dict, tuple)) else value for name, value in values.items()}
    return connection.execute(statement(sql, connection.dialect.name == "sqlite"), given)


def rows(connection: sa.Connection, sql: str, **values: Any) -> Sequence[Any]:
    return run(connection, sql, **values).all()


# --- Writing ---------------------------------------------------------------------------------------------------------

CHUNK_PKS = "SELECT id, pk FROM chunk WHERE tenant = :tenant AND id IN TEXTS(:ids)"
CHUNKS_THAT_SPOKE = """
SELECT chunk_pk FROM mention WHERE chunk_pk IN NUMBERS(:chunks) UNION SELECT chunk_pk FROM evidence WHERE chunk_pk IN NUMBERS(:chunks)"""
INSERT_MENTIONS = "INSERT INTO mention (chunk_pk, entity_pk, weight, description) VALUES (?, ?, ?, ?)"
INSERT_EVIDENCE = "INSERT INTO evidence (chunk_pk, relation_pk, weight, description) VALUES (?, ?, ?, ?)"


@lru_cache(maxsize=2)
def upsert_entities(is_sqlite: bool) -> Any:  # noqa: FBT001 - the cache's key
    """Counts mentions; a type that says more and a description that is longer win. Returns id and pk."""
    insert = (sqlite.insert if is_sqlite else postgresql.insert)(entity)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "mentions": entity.c.mentions + new.mentions,
            "type": sa.case((entity.c.type == ANY_TYPE, new.type), else_=entity.c.type),
            "description": _longer(entity.c.description, new.description),
            "block": new.block,  # entities of before blocks were
        },
    ).returning(entity.c.id, entity.c.pk)


@lru_cache(maxsize=2)
def upsert_relations(is_sqlite: bool) -> Any:  # noqa: FBT001 - the cache's key
    """Sums weights. Returns both ends, type and pk."""
    insert = (sqlite.insert if is_sqlite else postgresql.insert)(relation)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["source_pk", "target_pk", "type"],
        set_={
            "weight": relation.c.weight + new.weight,
            "chunks": relation.c.chunks + new.chunks,
            "description": _longer(relation.c.description, new.description),
        },
    ).returning(relation.c.source_pk, relation.c.target_pk, relation.c.type, relation.c.pk)


def _longer(old: sa.ColumnElement[str], new: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return sa.case((sa.func.length(new) > sa.func.length(old), new), else_=old)


# --- Taking back -----------------------------------------------------------------------------------------------------

DELETE_MENTIONS = "DELETE FROM mention WHERE chunk_pk IN NUMBERS(:chunks) RETURNING entity_pk AS pk, weight, description"
LOWER_ENTITIES = "UPDATE entity SET mentions = mentions - :gone WHERE pk = :pk"
DELETE_UNMENTIONED = "DELETE FROM entity WHERE pk IN NUMBERS(:pks) AND mentions <= 0"
DESCRIBED_ENTITIES = "SELECT pk, description FROM entity WHERE pk IN NUMBERS(:pks)"
DESCRIBE_ENTITY = """
UPDATE entity SET description = COALESCE((
    SELECT m.description FROM mention AS m WHERE m.entity_pk = :pk AND m.description IS NOT NULL
    ORDER BY length(m.description) DESC, m.chunk_pk LIMIT 1), '') WHERE pk = :pk"""

DELETE_EVIDENCE = "DELETE FROM evidence WHERE chunk_pk IN NUMBERS(:chunks) RETURNING relation_pk AS pk, weight, description"
LOWER_RELATIONS = "UPDATE relation SET chunks = chunks - :gone, weight = weight - :weight WHERE pk = :pk"
DELETE_UNPROVEN = "DELETE FROM relation WHERE pk IN NUMBERS(:pks) AND chunks <= 0"
DESCRIBED_RELATIONS = "SELECT pk, description FROM relation WHERE pk IN NUMBERS(:pks)"
# A chunk that is evidence mentions both ends: that spares an index of evidence by relation.
DESCRIBE_RELATION = """
UPDATE relation SET description = COALESCE((
    SELECT e.description FROM relation AS r CROSS JOIN mention AS m CROSS JOIN evidence AS e
    WHERE r.pk = :pk AND m.entity_pk = r.source_pk AND e.chunk_pk = m.chunk_pk AND e.relation_pk = r.pk AND e.description IS NOT NULL
    ORDER BY length(e.description) DESC, e.chunk_pk LIMIT 1), '') WHERE pk = :pk"""

CLEAR = (
    "DELETE FROM mention WHERE entity_pk IN (SELECT pk FROM entity WHERE tenant = :tenant)",
    "DELETE FROM evidence WHERE relation_pk IN (SELECT pk FROM relation WHERE tenant = :tenant)",
    "DELETE FROM relation WHERE tenant = :tenant",
    "DELETE FROM entity WHERE tenant = :tenant",
)

# --- Entities --------------------------------------------------------------------------------------------------------

ENTITIES_BY_ID = """
SELECT e.pk, e.id, e.name, e.type, e.description, e.mentions FROM TEXTS(:ids) AS asked CROSS JOIN entity AS e
WHERE e.id = asked.value AND e.tenant = :tenant"""
ENTITIES_BY_PK = """
SELECT e.pk, e.id, e.name, e.type, e.description, e.mentions FROM NUMBERS(:pks) AS asked CROSS JOIN entity AS e
WHERE e.pk = asked.value AND e.tenant = :tenant"""
_LIST_ENTITIES = """
SELECT id, name, type, description, mentions, key FROM entity
WHERE tenant = :tenant AND mentions <= :mentions AND (mentions < :mentions OR key > :after)<filter>
ORDER BY mentions DESC, key LIMIT :limit"""
FIND_ENTITIES = _LIST_ENTITIES.replace(
    "<filter>", " AND (key LIKE :pattern OR key IN (SELECT root_key FROM alias WHERE tenant = :tenant AND key LIKE :pattern))"
)
LIST_ENTITIES = _LIST_ENTITIES.replace("<filter>", "")
MOST_MENTIONED = "SELECT pk FROM entity WHERE tenant = :tenant ORDER BY mentions DESC, key LIMIT :limit"

ALIKE = """
SELECT block, id, name, type, description, mentions FROM (
    SELECT e.block, e.id, e.name, e.type, e.description, e.mentions,
        ROW_NUMBER() OVER (PARTITION BY e.block ORDER BY e.mentions DESC, e.key) AS place
    FROM TEXTS(:blocks) AS asked CROSS JOIN entity AS e WHERE e.tenant = :tenant AND e.block = asked.value) AS found
WHERE place <= :limit ORDER BY block, place"""
STATEMENTS = """
SELECT c.id, c.source_id, m.description FROM entity AS e JOIN mention AS m ON m.entity_pk = e.pk JOIN chunk AS c ON c.pk = m.chunk_pk
WHERE e.tenant = :tenant AND e.id = :entity AND m.description IS NOT NULL ORDER BY length(m.description) DESC, m.chunk_pk LIMIT :limit"""
COUNT_ENTITIES = "SELECT COUNT(*) FROM entity WHERE tenant = :tenant"
COUNT_ENTITIES_OF_SOURCES = """
SELECT c.source_id, COUNT(DISTINCT m.entity_pk) AS entities
FROM TEXTS(:sources) AS asked CROSS JOIN chunk AS c JOIN mention AS m ON m.chunk_pk = c.pk
WHERE c.source_id = asked.value AND c.tenant = :tenant GROUP BY c.source_id"""
# A mention whose chunk is gone is none.
_MENTIONS = "(SELECT COUNT(*) FROM mention AS m JOIN chunk AS c ON c.pk = m.chunk_pk WHERE m.entity_pk = entity.pk)"
MISCOUNTED = f"SELECT id FROM entity WHERE tenant = :tenant AND mentions <> {_MENTIONS} ORDER BY id"  # noqa: S608 - constants
_THESE = "tenant = :tenant AND id IN TEXTS(:ids)"
RECOUNT = (
    f"UPDATE entity SET mentions = {_MENTIONS} WHERE {_THESE}",  # noqa: S608
    f"DELETE FROM mention WHERE entity_pk IN (SELECT pk FROM entity WHERE {_THESE} AND mentions = 0)",  # noqa: S608
    f"DELETE FROM entity WHERE {_THESE} AND mentions = 0",  # noqa: S608
)

# --- Chunks ----------------------------------------------------------------------------------------------------------

DAMAGED = """
SELECT c.pk, c.id, c.source_id FROM chunk AS c WHERE c.pk > :after AND c.tenant = :tenant AND EXISTS (
    SELECT 1 FROM mention AS m LEFT JOIN entity AS e ON e.pk = m.entity_pk WHERE m.chunk_pk = c.pk AND e.pk IS NULL)
ORDER BY c.pk LIMIT :limit"""
_CHUNK_KEYS = """
SELECT c.pk, c.id, c.source_id FROM chunk AS c
WHERE c.pk > :after AND c.tenant = :tenant<filter> AND EXISTS (SELECT 1 FROM mention AS m WHERE m.chunk_pk = c.pk)
ORDER BY c.pk LIMIT :limit"""
CHUNK_KEYS = _CHUNK_KEYS.replace("<filter>", "")
CHUNK_KEYS_OF_SOURCE = _CHUNK_KEYS.replace("<filter>", " AND c.source_id = :source")
SAID_OF_ENTITIES = """
SELECT c.id, c.source_id, e.name, e.type, m.description, m.weight
FROM TEXTS(:ids) AS asked CROSS JOIN chunk AS c JOIN mention AS m ON m.chunk_pk = c.pk JOIN entity AS e ON e.pk = m.entity_pk
WHERE c.id = asked.value AND c.tenant = :tenant ORDER BY c.id, e.key"""
SAID_OF_RELATIONS = """
SELECT c.id, s.name AS source, t.name AS target, r.type, v.description, v.weight
FROM TEXTS(:ids) AS asked CROSS JOIN chunk AS c JOIN evidence AS v ON v.chunk_pk = c.pk JOIN relation AS r ON r.pk = v.relation_pk
JOIN entity AS s ON s.pk = r.source_pk JOIN entity AS t ON t.pk = r.target_pk
WHERE c.id = asked.value AND c.tenant = :tenant ORDER BY c.id, s.key, t.key, r.type"""
TENANTS = "SELECT DISTINCT tenant FROM entity ORDER BY tenant"
CHUNKS_OF_ENTITY = """
SELECT c.id FROM entity AS e JOIN mention AS m ON m.entity_pk = e.pk JOIN chunk AS c ON c.pk = m.chunk_pk
WHERE e.tenant = :tenant AND e.id = :entity ORDER BY m.weight DESC, m.chunk_pk LIMIT :limit"""

WEIGHED_ENTITIES = """
SELECT e.pk, e.id, e.mentions, (SELECT MAX(mentions) FROM entity WHERE tenant = :tenant) AS top
FROM TEXTS(:ids) AS asked CROSS JOIN entity AS e WHERE e.id = asked.value AND e.tenant = :tenant"""
COUNT_CHUNKS_OF_SOURCES = "SELECT COUNT(*) FROM (SELECT 1 FROM chunk WHERE source_id IN TEXTS(:sources) LIMIT :most) AS found"

_PARTS_OF_ENTITIES = """
SELECT m.chunk_pk, w.weight * m.weight / (m.weight + 1) AS part FROM WEIGHTS(:read) AS w CROSS JOIN mention AS m WHERE m.entity_pk = w.pk"""
_PARTS_OF_HUB = """
SELECT m.chunk_pk, w.weight * m.weight / (m.weight + 1) AS part FROM WEIGHTS(:read) AS w CROSS JOIN mention AS m WHERE m.entity_pk = w.pk
ORDER BY m.weight DESC LIMIT :rows"""
_PARTS_OF_SOURCES = """
SELECT m.chunk_pk, w.weight * m.weight / (m.weight + 1) AS part
FROM chunk AS c CROSS JOIN mention AS m JOIN weighed AS w ON w.pk = m.entity_pk
WHERE c.tenant = :tenant AND c.source_id IN TEXTS(:sources) AND m.chunk_pk = c.pk"""
_OF_SOURCES = " WHERE EXISTS (SELECT 1 FROM chunk AS c WHERE c.pk = parts.chunk_pk AND c.source_id IN TEXTS(:sources))"

_SCORED = """
WITH weighed AS MATERIALIZED (SELECT pk, weight FROM WEIGHTS(:read) AS given),
found AS (
    SELECT chunk_pk, SUM(part) AS score FROM (<parts>) AS parts<filter>
    GROUP BY chunk_pk ORDER BY SUM(part) DESC, chunk_pk LIMIT :candidates),
scored AS (
    SELECT chunk_pk, score + COALESCE((
        SELECT SUM(h.weight * m.weight / (m.weight + 1)) FROM WEIGHTS(:looked_up) AS h CROSS JOIN mention AS m
        WHERE m.chunk_pk = found.chunk_pk AND m.entity_pk = h.pk), 0) AS score FROM found),
best AS (SELECT chunk_pk, score FROM scored ORDER BY score DESC, chunk_pk LIMIT :limit)
SELECT c.id, best.score FROM best JOIN chunk AS c ON c.pk = best.chunk_pk"""

CHUNKS_OF_ENTITIES = _SCORED.replace("<parts>", _PARTS_OF_ENTITIES).replace("<filter>", "")
CHUNKS_OF_HUB = _SCORED.replace("<parts>", _PARTS_OF_HUB).replace("<filter>", "")
CHUNKS_OF_ENTITIES_IN_SOURCES = _SCORED.replace("<parts>", _PARTS_OF_ENTITIES).replace("<filter>", _OF_SOURCES)
CHUNKS_OF_HUB_IN_SOURCES = _SCORED.replace("<parts>", _PARTS_OF_HUB).replace("<filter>", _OF_SOURCES)
CHUNKS_IN_SOURCES = _SCORED.replace("<parts>", _PARTS_OF_SOURCES).replace("<filter>", "")

MENTIONED_IN = """
SELECT c.id AS chunk_id, e.id, e.name, e.mentions, m.weight
FROM TEXTS(:ids) AS asked CROSS JOIN chunk AS c JOIN mention AS m ON m.chunk_pk = c.pk JOIN entity AS e ON e.pk = m.entity_pk
WHERE c.id = asked.value AND c.tenant = :tenant"""
MOST_MENTIONS = "SELECT MAX(mentions) AS most FROM entity WHERE tenant = :tenant"

# The strongest mentions stand first in the index mention_by_entity: of an entity that is everywhere no more than these are read.
_MENTIONING = """
SELECT c.id AS chunk_id, e.id AS entity_id, m.weight
FROM TEXTS(:ids) AS asked CROSS JOIN entity AS e CROSS JOIN mention AS m CROSS JOIN chunk AS c
WHERE e.id = asked.value AND e.tenant = :tenant AND m.entity_pk = e.pk AND c.pk = m.chunk_pk AND <mentions>"""
_STRONGEST = """
SELECT chunk_pk FROM mention WHERE entity_pk = e.pk ORDER BY weight DESC, chunk_pk LIMIT :each"""
_STRONGEST_OF_SOURCES = """
SELECT best.chunk_pk FROM (
    SELECT chunk_pk, weight FROM mention WHERE entity_pk = e.pk ORDER BY weight DESC, chunk_pk LIMIT :most) AS best
JOIN chunk ON chunk.pk = best.chunk_pk WHERE chunk.source_id IN TEXTS(:sources) ORDER BY best.weight DESC, best.chunk_pk LIMIT :each"""
MENTIONING = _MENTIONING.replace("<mentions>", f"m.chunk_pk IN ({_STRONGEST})")
MENTIONING_OF_SOURCES = _MENTIONING.replace("<mentions>", f"m.chunk_pk IN ({_STRONGEST_OF_SOURCES})")
MENTIONING_IN_SOURCES = """
SELECT c.id AS chunk_id, e.id AS entity_id, m.weight
FROM chunk AS c CROSS JOIN mention AS m CROSS JOIN entity AS e
WHERE c.source_id IN TEXTS(:sources) AND c.tenant = :tenant AND m.chunk_pk = c.pk AND e.pk = m.entity_pk AND e.id IN TEXTS(:ids)"""

# --- Relations -------------------------------------------------------------------------------------------------------

ADJACENT = """
SELECT source_pk, target_pk, weight FROM relation WHERE source_pk IN NUMBERS(:pks)
UNION ALL SELECT target_pk, source_pk, weight FROM relation WHERE target_pk IN NUMBERS(:pks) LIMIT :most"""

_RELATION = """
SELECT r.type, r.description, r.weight,
    a.pk AS a_pk, a.id AS a_id, a.name AS a_name, a.type AS a_type, a.description AS a_description, a.mentions AS a_mentions,
    b.pk AS b_pk, b.id AS b_id, b.name AS b_name, b.type AS b_type, b.description AS b_description, b.mentions AS b_mentions
FROM <relations> AS r JOIN entity AS a ON a.pk = r.source_pk JOIN entity AS b ON b.pk = r.target_pk"""

RELATIONS_AMONG = _RELATION.replace("<relations>", "relation") + (
    " WHERE r.source_pk IN NUMBERS(:pks) AND r.target_pk IN NUMBERS(:pks) ORDER BY r.weight DESC, r.pk"
)

_RELATIONS_OF_ONE = """
SELECT * FROM (
    SELECT pk, source_pk, target_pk, type, description, weight FROM relation
    WHERE <end>_pk = (SELECT pk FROM entity WHERE id = :id<n> AND tenant = :tenant) AND <other>_pk NOT IN (SELECT pk FROM inside)
    ORDER BY weight DESC LIMIT :limit) AS <end>_<n>"""

_INSIDE = """
WITH inside AS MATERIALIZED (
    SELECT e.pk FROM TEXTS(:ids) AS asked CROSS JOIN entity AS e WHERE e.id = asked.value AND e.tenant = :tenant)"""


@lru_cache(maxsize=64)
def relations_of(entities: int) -> str:
    """The heaviest relations of each of :id0, :id1, ... to entities outside :ids; reads at most :limit an entity and end."""
    ends = (("source", "target"), ("target", "source"))
    branches = [
        _RELATIONS_OF_ONE.replace("<end>", end).replace("<other>", other).replace("<n>", str(n))
        for n in range(entities)
        for end, other in ends
    ]
    return _INSIDE + _RELATION.replace("<relations>", f"({' UNION ALL '.join(branches)})") + " ORDER BY r.weight DESC, r.pk LIMIT :limit"
