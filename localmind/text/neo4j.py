"""BM25 by Neo4j's full-text index over chunks, which are the graph's nodes too.

The index is given `words`: folded, stemmed, apart from each other in every script. A title's words stand in it four times and a
heading's twice, which weighs them as FTS5's bm25 does, and one field is searched in a third of the time of three. Word frequencies
are counted over all tenants, and chunks that are gone are forgotten as Lucene gets to it: both move scores, not what is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from localmind.ids import is_id
from localmind.model import ChunkId, ChunkKey, Filter, ScoredChunk, SourceId, TenantId
from localmind.neo4j import Neo4jDriver
from localmind.neo4j.chunks import BATCH, batches, ids_in, pages, prune, put, tenants
from localmind.neo4j.driver import rows
from localmind.ranking import best, ranked
from localmind.text.port import TitledChunk
from localmind.text.stems import stem, stemmed
from localmind.text.words import Term, query_terms

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

MAX_TERMS = 100
"""Of a query; whoever pastes a page in is served by its first words."""

SOURCES_AT_ONCE = 500
"""Of a filter in one query: Lucene takes 1,024 clauses."""

TITLE_WEIGHT, HEADING_WEIGHT = 4, 2
"""As in fts5.py."""

_SEARCH = """
CALL db.index.fulltext.queryNodes('chunk_words', $query, {limit: $limit}) YIELD node, score
RETURN node.id AS id, score ORDER BY score DESC, id"""
_FORGET = """
UNWIND $ids AS id MATCH (c:Chunk {tenant: $tenant, id: id})
REMOVE c.words, c.text, c.title, c.heading, c.page, c.ordinal"""
_KEYS = """
MATCH (c:Chunk) WHERE c.tenant = $tenant AND c.id > $after AND c.words IS NOT NULL
RETURN c.id AS id, c.source_id AS source ORDER BY c.tenant, c.id LIMIT $limit"""
_KEYS_OF_SOURCE = """
MATCH (:Document {tenant: $tenant, id: $source})<-[:PART_OF]-(c:Chunk) WHERE c.id > $after AND c.words IS NOT NULL
RETURN c.id AS id, c.source_id AS source ORDER BY c.id LIMIT $limit"""
_NEXT_TENANT = """
MATCH (c:Chunk) WHERE c.tenant > $after AND c.id IS NOT NULL AND c.words IS NOT NULL
RETURN c.tenant AS tenant ORDER BY c.tenant, c.id LIMIT 1"""


class Neo4jText:
    in_catalog: ClassVar[bool] = False

    def __init__(self, driver: Neo4jDriver) -> None:
        self._driver = driver

    def open(self) -> None:
        self._driver.open()

    def close(self) -> None:
        self._driver.close()

    def write(self, tenant: TenantId, chunks: Sequence[TitledChunk]) -> None:
        last = list({each.chunk.id: each for each in chunks}.values())
        for at in range(0, len(last), BATCH):
            batch = last[at : at + BATCH]
            titles = {each.chunk.source_id: each.title for each in batch}
            properties = [_properties(each) for each in batch]
            self._driver.write(lambda tx: put(tx, tenant, titles, properties))  # noqa: B023 - runs before the next round

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        for batch in batches(ids):

            def forget(tx: ManagedTransaction) -> None:
                tx.run(_FORGET, tenant=tenant, ids=batch).consume()  # noqa: B023
                prune(tx, tenant, batch)  # noqa: B023

            self._driver.write(forget)

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        for source in ids_in(sources):
            for keys in list(self.keys(tenant, source=source)):
                self.delete(tenant, [key.chunk_id for key in keys])

    def search(self, tenant: TenantId, query: str, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        terms = query_terms(query)[:MAX_TERMS]
        if limit < 1 or not terms or not is_id(tenant):
            return []
        wanted = f"{_is('tenant', [tenant])} +({' '.join(map(_clause, terms))})"
        if where is None:
            queries = [wanted]
        else:
            sources = ids_in(list(where.source_ids))
            parts = [sources[at : at + SOURCES_AT_ONCE] for at in range(0, len(sources), SOURCES_AT_ONCE)]
            queries = [f"{wanted} {_is('source_id', part)}" for part in parts]
        hits = self._driver.read(lambda tx: [hit for each in queries for hit in _best(tx, each, limit)])
        return ranked(hits)[:limit]

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        return pages(self._driver, _KEYS if source is None else _KEYS_OF_SOURCE, tenant, source)

    def tenants(self) -> list[TenantId]:
        return tenants(self._driver, _NEXT_TENANT)

    def clear(self, tenant: TenantId) -> None:
        for keys in self.keys(tenant):
            self.delete(tenant, [key.chunk_id for key in keys])


def _properties(titled: TitledChunk) -> dict[str, Any]:
    title, chunk = titled
    words = [*[stemmed(title)] * TITLE_WEIGHT, *[stemmed(chunk.heading)] * HEADING_WEIGHT, stemmed(chunk.text)]
    return {
        "id": chunk.id,
        "source_id": chunk.source_id,
        "title": title,
        "heading": chunk.heading,
        "text": chunk.text,
        "page": chunk.page,
        "ordinal": chunk.ordinal,
        "words": " ".join(filter(None, words)),
    }


def _clause(term: Term) -> str:
    """Letters, digits and marks in quotes, so nothing of it is Lucene's syntax; what has an asterisk is of one such sign."""
    if term.begins:
        return f"words:{term.words}*"
    return f'words:"{" ".join(map(stem, term.words.split()))}"'


def _is(field: str, values: Sequence[str]) -> str:
    """One of these ids (localmind/ids.py: no quote is in their alphabet), without a part in the score."""
    quoted = " ".join(f'"{value}"' for value in values)
    return f"+{field}:({quoted})^0"


def _best(tx: ManagedTransaction, query: str, limit: int) -> list[ScoredChunk]:
    def find(wanted: int) -> list[ScoredChunk]:
        return [ScoredChunk(ChunkId(row["id"]), row["score"]) for row in rows(tx, _SEARCH, query=query, limit=wanted)]

    return best(find, limit)
