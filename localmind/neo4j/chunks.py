"""Chunk and Document nodes, which text and graph share: a node stays as long as one of the two needs it.

Everything here that writes runs inside the caller's transaction, and takes its locks in one order everywhere: documents, chunks,
entities, each by id. So two writers seldom wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from localmind.ids import is_id
from localmind.model import ChunkId, ChunkKey, SourceId, TenantId
from localmind.neo4j.driver import Neo4jDriver, rows

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

BATCH = 1000
"""Chunks of one transaction: bounds what it holds in the server's memory, and how long others wait for its locks."""

S = TypeVar("S", bound=str)

# Setting a property takes the node's lock, also where it stays as it is.
_DOCUMENTS = """
UNWIND $documents AS row MERGE (d:Document {tenant: $tenant, id: row.id})
SET d.title = coalesce(row.title, d.title, '')"""
_CHUNKS = """
UNWIND $chunks AS row
MATCH (d:Document {tenant: $tenant, id: row.source_id})
MERGE (c:Chunk {tenant: $tenant, id: row.id}) SET c += row
MERGE (c)-[:PART_OF]->(d)"""
_UNNEEDED = """
UNWIND $ids AS id MATCH (c:Chunk {tenant: $tenant, id: id})
WHERE c.words IS NULL AND NOT EXISTS { (c)-[:MENTIONS]->() }
WITH c, c.source_id AS source DETACH DELETE c
RETURN DISTINCT source ORDER BY source"""
_EMPTY_DOCUMENTS = """
UNWIND $sources AS id MATCH (d:Document {tenant: $tenant, id: id}) SET d.title = d.title
WITH d WHERE NOT EXISTS { (d)<-[:PART_OF]-() } DELETE d"""


def put(tx: ManagedTransaction, tenant: TenantId, titles: Mapping[SourceId, str | None], chunks: Sequence[Mapping[str, object]]) -> None:
    """Documents by their titles (None: leave it), and chunks: their properties, with id and source_id; others stay as they are."""
    documents = [{"id": id_, "title": title} for id_, title in sorted(titles.items())]
    tx.run(_DOCUMENTS, tenant=tenant, documents=documents).consume()
    tx.run(_CHUNKS, tenant=tenant, chunks=sorted(chunks, key=lambda chunk: str(chunk["id"]))).consume()


def prune(tx: ManagedTransaction, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
    """Delete those that neither text nor graph needs any more, and documents that lost their last."""
    sources = [row["source"] for row in rows(tx, _UNNEEDED, tenant=tenant, ids=ids)]
    if sources:
        tx.run(_EMPTY_DOCUMENTS, tenant=tenant, sources=sources).consume()


def pages(driver: Neo4jDriver, statement: str, tenant: TenantId, source: SourceId | None) -> Iterator[list[ChunkKey]]:
    """A statement's chunks (id, source) page by page; it takes $tenant, $source, $after and $limit and is in the order of ids."""
    after = ""
    while found := driver.rows(statement, tenant=tenant, source=source, after=after, limit=BATCH):
        yield [ChunkKey(ChunkId(row["id"]), SourceId(row["source"])) for row in found]
        after = found[-1]["id"]


def tenants(driver: Neo4jDriver, statement: str) -> list[TenantId]:
    """One by one: the statement finds the first after $after, which an index knows without a look at all nodes."""
    found: list[TenantId] = []
    while row := driver.rows(statement, after=found[-1] if found else ""):
        found.append(TenantId(row[0]["tenant"]))
    return found


def ids_in(ids: Sequence[S]) -> list[S]:
    """Each once, sorted. What can't be an id is unknown everywhere, and some of it can't travel."""
    return sorted({id_ for id_ in ids if is_id(id_)})


def batches(ids: Sequence[S]) -> Iterator[list[S]]:
    items = ids_in(ids)
    for at in range(0, len(items), BATCH):
        yield items[at : at + BATCH]
