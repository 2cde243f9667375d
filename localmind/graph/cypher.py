"""The Cypher of the graph. What it speaks of is described in localmind/neo4j/schema.py; it needs Neo4j 5.23 or newer."""

from __future__ import annotations

from functools import lru_cache

# --- Writing ---------------------------------------------------------------------------------------------------------

# Setting a property takes the node's lock, also where it stays as it is.
CHUNKS_THAT_SPOKE = """
UNWIND $ids AS id MATCH (c:Chunk {tenant: $tenant, id: id}) SET c.source_id = c.source_id
WITH c WHERE EXISTS { (c)-[:MENTIONS]->() } RETURN c.id AS id, c.said AS said"""
LOCK_ENTITIES = "UNWIND $ids AS id MATCH (e:Entity {tenant: $tenant, id: id}) SET e.key = e.key"

UPSERT_ENTITIES = """
UNWIND $entities AS row MERGE (e:Entity {tenant: $tenant, id: row.id})
ON CREATE SET e += row
ON MATCH SET e.mentions = e.mentions + row.mentions, e.block = row.block,
    e.type = CASE WHEN e.type = $any_type THEN row.type ELSE e.type END,
    e.description = CASE WHEN size(row.description) > size(e.description) THEN row.description ELSE e.description END"""
UPSERT_RELATIONS = """
UNWIND $relations AS row
MATCH (a:Entity {tenant: $tenant, id: row.source}) MATCH (b:Entity {tenant: $tenant, id: row.target})
MERGE (a)-[r:RELATED {type: row.type}]->(b)
ON CREATE SET r.description = row.description, r.weight = row.weight, r.chunks = row.chunks
ON MATCH SET r.weight = r.weight + row.weight, r.chunks = r.chunks + row.chunks,
    r.description = CASE WHEN size(row.description) > size(r.description) THEN row.description ELSE r.description END"""
INSERT_MENTIONS = """
UNWIND $chunks AS row MATCH (c:Chunk {tenant: $tenant, id: row.id}) SET c.said = row.said, c.named = size(row.mentions)
WITH c, row UNWIND row.mentions AS mention MATCH (e:Entity {tenant: $tenant, id: mention[0]})
CREATE (c)-[:MENTIONS {weight: mention[1], description: mention[2]}]->(e)"""

# --- Taking back -----------------------------------------------------------------------------------------------------

MENTIONS = """
UNWIND $ids AS id MATCH (:Chunk {tenant: $tenant, id: id})-[m:MENTIONS]->(e:Entity)
RETURN e.id AS id, m.weight AS weight, m.description AS description"""
FORGET = """
UNWIND $ids AS id MATCH (c:Chunk {tenant: $tenant, id: id})-[m:MENTIONS]->() REMOVE c.said, c.named DELETE m"""

LOWER_ENTITIES = """
UNWIND $lost AS row MATCH (e:Entity {tenant: $tenant, id: row.key[0]}) SET e.mentions = e.mentions - row.chunks
WITH e WHERE e.mentions <= 0 DETACH DELETE e"""
DESCRIBE_ENTITIES = """
UNWIND $lost AS row MATCH (e:Entity {tenant: $tenant, id: row.key[0]}) WHERE e.description IN row.descriptions
OPTIONAL MATCH (e)<-[m:MENTIONS]-(c:Chunk) WHERE m.description IS NOT NULL
WITH e, m.description AS description, c.id AS id ORDER BY size(description) DESC, id
WITH e, head(collect(description)) AS longest SET e.description = coalesce(longest, '')"""

_LOST_RELATION = """
UNWIND $lost AS row
MATCH (:Entity {tenant: $tenant, id: row.key[0]})-[r:RELATED {type: row.key[2]}]->(:Entity {tenant: $tenant, id: row.key[1]})"""
LOWER_RELATIONS = (
    _LOST_RELATION
    + """
SET r.chunks = r.chunks - row.chunks, r.weight = r.weight - row.weight
WITH r WHERE r.chunks <= 0 DELETE r"""
)
DESCRIBED_RELATIONS = _LOST_RELATION + " WHERE r.description IN row.descriptions RETURN row.key AS key, row.prefix AS prefix"
DESCRIBE_RELATIONS = _LOST_RELATION + " SET r.description = row.description"
# A chunk that is evidence mentions both ends.
SAID_OF_RELATIONS = """
UNWIND $relations AS row
MATCH (:Entity {tenant: $tenant, id: row.key[0]})<-[:MENTIONS]-(c:Chunk)-[:MENTIONS]->(:Entity {tenant: $tenant, id: row.key[1]})
UNWIND [said IN c.said WHERE said STARTS WITH row.prefix] AS said
RETURN row.key AS key, said ORDER BY c.id"""

ENTITY_PAGE = "MATCH (e:Entity) WHERE e.tenant = $tenant AND e.mentions IS NOT NULL RETURN e.id AS id LIMIT $limit"
CLEAR_RELATIONS = """
UNWIND $ids AS id MATCH (:Entity {tenant: $tenant, id: id})-[r:RELATED]-() WITH DISTINCT r LIMIT $limit
DELETE r RETURN count(*) AS deleted"""
# Derived from the entities, and of no use without them (localmind/communities/neo4j.py).
CLEAR_COMMUNITIES = """
MATCH (c:Community) WHERE c.tenant = $tenant WITH c LIMIT $limit DETACH DELETE c RETURN count(*) AS deleted"""
CLEAR_ENTITIES = "UNWIND $ids AS id MATCH (e:Entity {tenant: $tenant, id: id}) DETACH DELETE e"

# --- Reading order ---------------------------------------------------------------------------------------------------

CHUNKS_THERE = "UNWIND $ids AS id MATCH (c:Chunk {tenant: $tenant, id: id}) RETURN c.id AS id"
UNLINK = """
UNWIND $sources AS source MATCH (:Document {tenant: $tenant, id: source})<-[:PART_OF]-(:Chunk)-[n:NEXT]->() WITH n LIMIT $limit
DELETE n RETURN count(*) AS deleted"""
LINK = """
UNWIND $places AS row MATCH (c:Chunk {tenant: $tenant, id: row.id}) SET c.ordinal = row.ordinal
WITH c, row MATCH (n:Chunk {tenant: $tenant, id: row.next}) MERGE (c)-[:NEXT]->(n)"""

# --- Entities --------------------------------------------------------------------------------------------------------

_ENTITY = "{.id, .name, .type, .description, .mentions}"
ENTITIES_BY_ID = "UNWIND $ids AS id MATCH (e:Entity {tenant: $tenant, id: id}) RETURN e" + _ENTITY + " AS e"
# The tenant stands in the order so that it is the index's; and what is returned is not called e, or the order would be of that.
LIST_ENTITIES = f"""
MATCH (e:Entity)
WHERE e.tenant = $tenant AND e.mentions <= $mentions AND (e.mentions < $mentions OR e.key > $after)
    AND (e.key CONTAINS $key OR e.key IN $named)
RETURN e{_ENTITY} AS found, e.key AS key ORDER BY e.tenant DESC, e.mentions DESC, e.key LIMIT $limit"""
MOST_MENTIONED = """
MATCH (e:Entity) WHERE e.tenant = $tenant AND e.mentions > 0
RETURN e.id AS id, e.mentions AS mentions ORDER BY e.tenant DESC, e.mentions DESC, e.key LIMIT $limit"""
ALIKE = f"""
UNWIND $blocks AS block
CALL (block) {{
    MATCH (e:Entity {{tenant: $tenant, block: block}}) RETURN e ORDER BY e.mentions DESC, e.key LIMIT $limit
}}
RETURN block, e{_ENTITY} AS e"""
STATEMENTS = """
MATCH (:Entity {tenant: $tenant, id: $entity})<-[m:MENTIONS]-(c:Chunk) WHERE m.description IS NOT NULL
RETURN c.id AS id, c.source_id AS source, m.description AS description ORDER BY size(description) DESC, id LIMIT $limit"""
COUNT_ENTITIES = "MATCH (e:Entity) WHERE e.tenant = $tenant AND e.mentions > 0 RETURN count(e) AS count"
COUNT_ENTITIES_OF_SOURCES = """
UNWIND $sources AS source MATCH (:Document {tenant: $tenant, id: source})<-[:PART_OF]-(:Chunk)-[:MENTIONS]->(e:Entity)
RETURN source, count(DISTINCT e) AS count"""
MISCOUNTED = """
MATCH (e:Entity) WHERE e.tenant = $tenant AND e.mentions <> COUNT { (e)<-[:MENTIONS]-() } RETURN e.id AS id ORDER BY id"""
RECOUNT = """
UNWIND $ids AS id MATCH (e:Entity {tenant: $tenant, id: id}) SET e.mentions = COUNT { (e)<-[:MENTIONS]-() }
WITH e WHERE e.mentions = 0 DETACH DELETE e"""
NEXT_TENANT = """
MATCH (e:Entity) WHERE e.tenant > $after AND e.mentions IS NOT NULL RETURN e.tenant AS tenant ORDER BY e.tenant LIMIT 1"""

# --- Chunks ----------------------------------------------------------------------------------------------------------

CHUNK_KEYS = """
MATCH (c:Chunk) WHERE c.tenant = $tenant AND c.id > $after AND EXISTS { (c)-[:MENTIONS]->() }
RETURN c.id AS id, c.source_id AS source ORDER BY c.tenant, c.id LIMIT $limit"""
CHUNK_KEYS_OF_SOURCE = """
MATCH (:Document {tenant: $tenant, id: $source})<-[:PART_OF]-(c:Chunk) WHERE c.id > $after AND EXISTS { (c)-[:MENTIONS]->() }
RETURN c.id AS id, c.source_id AS source ORDER BY c.id LIMIT $limit"""
DAMAGED = """
MATCH (c:Chunk) WHERE c.tenant = $tenant AND c.id > $after AND c.named <> COUNT { (c)-[:MENTIONS]->() }
RETURN c.id AS id, c.source_id AS source ORDER BY c.tenant, c.id LIMIT $limit"""
ALL_CHUNK_KEYS = """
MATCH (c:Chunk) WHERE c.tenant = $tenant AND c.id > $after
RETURN c.id AS id, c.source_id AS source ORDER BY c.tenant, c.id LIMIT $limit"""
WEIGHED_ENTITIES = """
CALL () {
    MATCH (t:Entity) WHERE t.tenant = $tenant AND t.mentions > 0
    RETURN t.mentions AS top ORDER BY t.tenant DESC, t.mentions DESC LIMIT 1
}
UNWIND $ids AS id MATCH (e:Entity {tenant: $tenant, id: id}) RETURN e.id AS id, e.mentions AS mentions, top ORDER BY mentions, id"""
# A row a chunk, and one more for the most frequent entity: a search waits for every round trip.
MOST = "most"
MENTIONED_IN = f"""
UNWIND $ids AS id MATCH (c:Chunk {{tenant: $tenant, id: id}})-[m:MENTIONS]->(e:Entity)
RETURN id, collect([e.id, e.name, e.mentions, m.weight]) AS said
UNION ALL
MATCH (e:Entity) WHERE e.tenant = $tenant AND e.mentions > 0
WITH e ORDER BY e.tenant DESC, e.mentions DESC LIMIT 1 RETURN '{MOST}' AS id, e.mentions AS said"""
CHUNKS_OF_ENTITY = """
MATCH (:Entity {tenant: $tenant, id: $entity})<-[m:MENTIONS]-(c:Chunk)
RETURN c.id AS id ORDER BY m.weight DESC, id LIMIT $limit"""
COUNT_CHUNKS_OF_SOURCES = """
UNWIND $sources AS id MATCH (d:Document {tenant: $tenant, id: id})
RETURN sum(COUNT { (d)<-[:PART_OF]-() }) AS count"""

SAID = """
UNWIND $ids AS id MATCH (c:Chunk {tenant: $tenant, id: id})-[m:MENTIONS]->(e:Entity)
WITH c, m, e ORDER BY c.id, e.key
WITH c, collect(e {.id, .key, .name, .type, description: coalesce(m.description, ''), weight: m.weight}) AS entities
RETURN c.id AS id, c.source_id AS source, coalesce(c.said, []) AS said, entities ORDER BY id"""

_MATCHED = "MATCH (:Entity {tenant: $tenant, id: row.id})<-[m:MENTIONS]-(c:Chunk)"
_SUMMED = """
WITH c, sum(row.weight * m.weight / (m.weight + 1)) AS score ORDER BY score DESC, c.id LIMIT $candidates"""
_LOOKED_UP = """
CALL (c) {
    MATCH (c)-[m:MENTIONS]->(e:Entity) WHERE e.id IN $hubs
    RETURN sum($looked_up[e.id] * m.weight / (m.weight + 1)) AS more
}
RETURN c.id AS id, score + more AS score ORDER BY score DESC, id LIMIT $limit"""
CHUNKS_OF_ENTITIES = "UNWIND $read AS row " + _MATCHED + _SUMMED + _LOOKED_UP
CHUNKS_OF_ENTITIES_IN_SOURCES = "UNWIND $read AS row " + _MATCHED + " WHERE c.source_id IN $sources" + _SUMMED + _LOOKED_UP
CHUNKS_OF_HUB = "UNWIND $read AS row " + _MATCHED + " WITH row, m, c LIMIT $rows" + _SUMMED + _LOOKED_UP
CHUNKS_OF_HUB_IN_SOURCES = (
    "UNWIND $read AS row " + _MATCHED + " WITH row, m, c LIMIT $rows WHERE c.source_id IN $sources" + _SUMMED + _LOOKED_UP
)
CHUNKS_IN_SOURCES = """
UNWIND $read AS entity WITH collect(entity.id) AS ids, collect(entity) AS entities
UNWIND $sources AS source
MATCH (:Document {tenant: $tenant, id: source})<-[:PART_OF]-(c:Chunk)-[m:MENTIONS]->(e:Entity) WHERE e.id IN ids
WITH c, m, [entity IN entities WHERE entity.id = e.id][0] AS row""" + (_SUMMED + " RETURN c.id AS id, score")

# Of thousands of mentions nothing but the weight is read; those of equal weight stay in the order that the engine keeps them in.
_MENTIONING = """
UNWIND $ids AS id MATCH (e:Entity {tenant: $tenant, id: id})
CALL (e) {
    MATCH (e)<-[m:MENTIONS]-(c) WITH m, c LIMIT $most<filter>
    RETURN m.weight AS weight, c ORDER BY weight DESC LIMIT $each
}
RETURN id AS entity, collect([c.id, weight]) AS said"""
MENTIONING = _MENTIONING.replace("<filter>", "")
MENTIONING_OF_SOURCES = _MENTIONING.replace("<filter>", " WHERE c.source_id IN $sources")
MENTIONING_IN_SOURCES = """
UNWIND $sources AS source
MATCH (:Document {tenant: $tenant, id: source})<-[:PART_OF]-(c:Chunk)-[m:MENTIONS]->(e:Entity) WHERE e.id IN $ids
RETURN e.id AS entity, collect([c.id, m.weight]) AS said"""

# --- Relations -------------------------------------------------------------------------------------------------------

_RELATION = "{.type, .description, .weight, source: startNode(r).id, target: endNode(r).id}"

NEIGHBORS = f"""
UNWIND $ids AS id MATCH (a:Entity {{tenant: $tenant, id: id}})
CALL (a) {{
    MATCH (a)-[r:RELATED]-(b:Entity) WITH r, b LIMIT $edges
    WITH r, b WHERE NOT b.id IN $ids
    RETURN r, b ORDER BY r.weight DESC, b.id, r.type LIMIT $limit
}}
RETURN b{_ENTITY} AS e, r{_RELATION} AS r ORDER BY r.weight DESC, e.id, r.type LIMIT $limit"""
RELATIONS_AMONG = f"""
UNWIND $ids AS id MATCH (a:Entity {{tenant: $tenant, id: id}})-[r:RELATED]->(b:Entity) WHERE b.id IN $ids
RETURN r{_RELATION} AS r ORDER BY r.weight DESC, r.source, r.target, r.type"""


@lru_cache(maxsize=16)
def shortest_path(hops: int) -> str:
    """Of at most so many relations; Cypher takes no parameter for that."""
    return f"""
MATCH (a:Entity {{tenant: $tenant, id: $start}}), (b:Entity {{tenant: $tenant, id: $end}}),
    p = shortestPath((a)-[:RELATED*..{hops:d}]-(b))
RETURN [e IN nodes(p) | e.id] AS ids"""
