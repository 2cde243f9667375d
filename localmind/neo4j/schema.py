"""What Neo4j holds of Local Mind: labels, constraints and indexes, made where they lack.

    (:Document {tenant, id, title})
    (:Chunk {tenant, id, source_id, title, heading, text, page, ordinal, words, said, named}) -[:PART_OF]-> (:Document)
    (:Chunk) -[:NEXT]-> (:Chunk)                                  in reading order
    (:Chunk) -[:MENTIONS {weight, description}]-> (:Entity {tenant, id, key, name, type, description, mentions, block})
    (:Entity) -[:RELATED {type, description, weight, chunks}]-> (:Entity)
    (:Entity) -[:PART_OF]-> (:Community {tenant, id, level, title, summary, size}) -[:PART_OF]-> (:Community)

`words` is what the full-text index is given (localmind/text/words.py), `said` what a chunk says of relations, so that it can be
taken back, `named` how many entities it mentions, so that a loss is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from localmind.errors import ConfigurationError
from localmind.versions import check_version

if TYPE_CHECKING:
    from neo4j import ManagedTransaction, Session

SCHEMA = 1
"""Counts up with every change that older versions can't live with."""

CHUNK_WORDS = "chunk_words"
ENTITY_NAMES = "entity_names"

_MADE = (
    "CREATE CONSTRAINT localmind_id IF NOT EXISTS FOR (n:LocalMind) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT document_id IF NOT EXISTS FOR (n:Document) REQUIRE (n.tenant, n.id) IS UNIQUE",
    "CREATE CONSTRAINT chunk_id IF NOT EXISTS FOR (n:Chunk) REQUIRE (n.tenant, n.id) IS UNIQUE",
    "CREATE CONSTRAINT entity_id IF NOT EXISTS FOR (n:Entity) REQUIRE (n.tenant, n.id) IS UNIQUE",
    "CREATE CONSTRAINT community_id IF NOT EXISTS FOR (n:Community) REQUIRE (n.tenant, n.id) IS UNIQUE",
    "CREATE INDEX entity_mentions IF NOT EXISTS FOR (n:Entity) ON (n.tenant, n.mentions)",
    "CREATE INDEX entity_block IF NOT EXISTS FOR (n:Entity) ON (n.tenant, n.block)",
    # Words come ready made, so the analyzer only parts them. Not eventually consistent: a write is found on return.
    "CREATE FULLTEXT INDEX chunk_words IF NOT EXISTS FOR (n:Chunk) ON EACH [n.words, n.tenant, n.source_id]"
    " OPTIONS {indexConfig: {`fulltext.analyzer`: 'whitespace', `fulltext.eventually_consistent`: false}}",
    "CREATE FULLTEXT INDEX entity_names IF NOT EXISTS FOR (n:Entity) ON EACH [n.name]"
    " OPTIONS {indexConfig: {`fulltext.analyzer`: 'standard-folding', `fulltext.eventually_consistent`: false}}",
)
_SHOWN = "MATCH (n:LocalMind {id: 'localmind'}) RETURN n.schema AS schema"
_VERSION = "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions[0] AS version"
_NOTED = "MERGE (n:LocalMind {id: 'localmind'}) SET n.schema = $schema"
_AWAITED = "CALL db.awaitIndexes($seconds)"

# Two processes that start at once may both find that something lacks.
_THERE_ALREADY = (
    "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists",
    "Neo.ClientError.Schema.ConstraintAlreadyExists",
    "Neo.ClientError.Schema.IndexAlreadyExists",
)


def prepare(session: Session, *, wait_s: int) -> None:
    """Make what lacks and wait until every index is there.

    Raises ConfigurationError where a newer version made the schema, or Neo4j is too old.
    """
    from neo4j.exceptions import ClientError

    server = session.execute_read(lambda tx: tx.run(_VERSION).single())
    check_version("Neo4j", server["version"] if server is not None else "")

    found = session.execute_read(lambda tx: tx.run(_SHOWN).single())
    if found is not None and found["schema"] > SCHEMA:
        raise ConfigurationError(
            f"The Neo4j database has schema {found['schema']}, of a newer Local Mind; this one knows {SCHEMA}.",
            hint="Update this Local Mind, or set NEO4J_DATABASE or NEO4J_URI to another database.",
        )
    for statement in _MADE:
        try:
            session.execute_write(_running(statement))
        except ClientError as error:
            if error.code not in _THERE_ALREADY:
                raise
    session.execute_read(lambda tx: tx.run(_AWAITED, seconds=wait_s).consume())
    if found is None or found["schema"] < SCHEMA:
        session.execute_write(lambda tx: tx.run(_NOTED, schema=SCHEMA).consume())


def _running(statement: str) -> Callable[[ManagedTransaction], object]:
    return lambda tx: tx.run(statement).consume()
