"""BM25 by SQLite's FTS5, in the catalog: an entry commits with its chunk's row.

Word frequencies are counted over all tenants of the catalog. They order a tenant's hits and show nothing else of the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from localmind.catalog import fts
from localmind.catalog.database import Database
from localmind.errors import CorruptIndex, InvalidInput
from localmind.model import ChunkId, ChunkKey, Filter, ScoredChunk, SourceId, TenantId
from localmind.text.port import TitledChunk
from localmind.text.words import indexable, query_terms

T = TypeVar("T")

BATCH = 1000
MAX_TERMS = 100
"""Of a query; whoever pastes a page in is served by its first words."""

REQUIRED_ROWS = 3000
OPTIONAL_ROWS = 30_000
"""Ranking costs 1 µs a chunk, walking a word's list 0.04 µs. So a hit must have one of the query's rare words (which together
stand in about REQUIRED_ROWS chunks), the common ones count where they stand beside one, and those past OPTIONAL_ROWS are left
out. At 100,000 chunks: 5 ms instead of 150."""

ROWS_PER_HIT = 20
"""Rare words must stand in this many chunks for each hit asked for, or a more frequent one joins them."""

SOURCES_IN_A_RANGE = 100
"""Up to this many sources, a search looks only between the first and the last of their chunks."""

SQLITE_CORRUPT_VTAB = 267

_ROWS = sa.text("SELECT pk, id, heading, text FROM chunk WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:ids))")
_ENTRIES = sa.text(
    "SELECT chunk.pk, entry.title, heading, text FROM chunk JOIN chunk_fts_entry AS entry ON entry.pk = chunk.pk"
    " WHERE tenant = :tenant AND id IN (SELECT value FROM json_each(:ids))"
)
_ADD = sa.text("INSERT INTO chunk_fts (rowid, title, heading, text) VALUES (:pk, :title, :heading, :text)")
_ADD_ENTRY = sa.text("INSERT INTO chunk_fts_entry (pk, title) VALUES (:pk, :given_title)")
_FORGET = sa.text("INSERT INTO chunk_fts (chunk_fts, rowid, title, heading, text) VALUES ('delete', :pk, :title, :heading, :text)")
_FORGET_ENTRY = sa.text("DELETE FROM chunk_fts_entry WHERE pk = :pk")
_KEYS = sa.text(
    "SELECT chunk.pk, chunk.id, chunk.source_id FROM chunk_fts_entry AS entry JOIN chunk ON chunk.pk = entry.pk"
    " WHERE tenant = :tenant AND entry.pk > :after ORDER BY entry.pk LIMIT :batch"
)
_KEYS_OF_SOURCE = sa.text(
    "SELECT chunk.pk, chunk.id, chunk.source_id FROM chunk JOIN chunk_fts_entry AS entry ON chunk.pk = entry.pk"
    " WHERE chunk.source_id = :source AND tenant = :tenant AND entry.pk > :after ORDER BY chunk.pk LIMIT :batch"
)
_TENANTS = sa.text("SELECT DISTINCT tenant FROM chunk WHERE EXISTS (SELECT 1 FROM chunk_fts_entry AS entry WHERE entry.pk = chunk.pk)")
_OTHERS = sa.text("SELECT 1 FROM chunk_fts_entry AS entry JOIN chunk ON chunk.pk = entry.pk WHERE tenant <> :tenant LIMIT 1")
_FREQUENCY = sa.text("SELECT count(*) FROM (SELECT 1 FROM chunk_fts WHERE chunk_fts MATCH :term LIMIT :most)")
_RANGE = sa.text("SELECT min(pk), max(pk) FROM chunk WHERE source_id IN (SELECT value FROM json_each(:sources))")
# Weights of title, heading and text: R@5 on HotpotQA and 2Wiki is 79.0 and 63.7 where a title counts as text does, 80.0 and 65.2
# at 4, 79.0 and 66.0 at 16. CROSS JOIN: the planner must not start from the chunks.
_HITS = (
    "SELECT chunk.id, -bm25(chunk_fts, 4.0, 2.0, 1.0) AS score FROM chunk_fts CROSS JOIN chunk ON chunk.pk = chunk_fts.rowid"
    " WHERE chunk_fts MATCH :match AND chunk.tenant = :tenant"
)
_OF_SOURCES = " AND chunk.source_id IN (SELECT value FROM json_each(:sources))"
_IN_RANGE = " AND chunk_fts.rowid BETWEEN :first AND :last"
_BEST = " ORDER BY score DESC, chunk.id LIMIT :limit"
_SEARCH = sa.text(_HITS + _BEST)
_SEARCH_SOURCES = sa.text(_HITS + _OF_SOURCES + _BEST)
_SEARCH_RANGE = sa.text(_HITS + _OF_SOURCES + _IN_RANGE + _BEST)


class Fts5Text:
    in_catalog: ClassVar[bool] = True

    def __init__(self, database: Database) -> None:
        self._db = database
        self._frequencies: dict[str, int] = {}
        self._changed = 0

    def open(self) -> None:
        """The catalog's migrations make the tables, and the catalog is opened by whoever made it."""

    def close(self) -> None: ...

    def write(self, tenant: TenantId, chunks: Sequence[TitledChunk]) -> None:
        with self._db.write() as connection, _translated():
            for batch in _batches(chunks):
                titles = {chunk.id: title for title, chunk in batch}
                rows = connection.execute(_ROWS, {"tenant": tenant, "ids": json.dumps(list(titles))}).all()
                if len(rows) < len(titles):
                    missing = titles.keys() - {row.id for row in rows}
                    raise InvalidInput(f"{len(missing)} chunks are not in the catalog.", hint="Store chunks before indexing them.")
                self._forget(connection, tenant, list(titles))
                # The row's own text, so that what is forgotten one day is what was given.
                given = [_Entry(row.pk, titles[row.id], row.heading, row.text) for row in rows]
                connection.execute(_ADD, [entry.parameters() for entry in given])
                connection.execute(_ADD_ENTRY, [{"pk": entry.pk, "given_title": entry.title} for entry in given])
                self._note(len(given))

    def delete(self, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        with self._db.write() as connection, _translated():
            for batch in _batches(ids):
                self._forget(connection, tenant, batch)

    def search(self, tenant: TenantId, query: str, *, limit: int, where: Filter | None = None) -> list[ScoredChunk]:
        terms = match_terms(query)[:MAX_TERMS]
        if limit < 1 or not terms or (where is not None and not where.source_ids):
            return []
        with self._db.read() as connection, _translated():
            plan = plan_match({term: self._frequency(connection, term) for term in terms}, limit)
            hits = self._hits(connection, tenant, plan.match, limit, where)
            if len(hits) < limit and plan.everything != plan.match:
                hits = self._hits(connection, tenant, plan.everything, limit, where)
            return hits

    def delete_sources(self, tenant: TenantId, sources: Sequence[SourceId]) -> None:
        for source in sources:
            for batch in list(self.keys(tenant, source=source)):
                self.delete(tenant, [key.chunk_id for key in batch])

    def keys(self, tenant: TenantId, *, source: SourceId | None = None) -> Iterator[Sequence[ChunkKey]]:
        after = -1
        statement = _KEYS if source is None else _KEYS_OF_SOURCE
        while True:
            with self._db.read() as connection:
                rows = connection.execute(statement, {"tenant": tenant, "after": after, "batch": BATCH, "source": source}).all()
            if not rows:
                return
            yield [ChunkKey(ChunkId(row.id), SourceId(row.source_id)) for row in rows]
            after = rows[-1].pk

    def tenants(self) -> list[TenantId]:
        with self._db.read() as connection:
            return sorted(TenantId(row.tenant) for row in connection.execute(_TENANTS))

    def clear(self, tenant: TenantId) -> None:
        """Where the tenant is the only one, the tables are made anew, so a damaged index can be cleared as well."""
        with self._db.write() as connection, _translated():
            self._note(BATCH)
            if connection.execute(_OTHERS, {"tenant": tenant}).first() is None:
                fts.recreate(connection)
                return
            for batch in self.keys(tenant):
                self._forget(connection, tenant, [key.chunk_id for key in batch])

    def _hits(self, connection: sa.Connection, tenant: TenantId, match: str, limit: int, where: Filter | None) -> list[ScoredChunk]:
        if not match:
            return []
        statement, parameters = _SEARCH, {"match": match, "tenant": tenant, "limit": limit}
        if where is not None:
            statement, parameters["sources"] = _SEARCH_SOURCES, json.dumps(sorted(where.source_ids))
            if len(where.source_ids) <= SOURCES_IN_A_RANGE:
                first, last = connection.execute(_RANGE, {"sources": parameters["sources"]}).one()
                statement, parameters["first"], parameters["last"] = _SEARCH_RANGE, first, last
        return [ScoredChunk(ChunkId(row.id), row.score) for row in connection.execute(statement, parameters)]

    def _frequency(self, connection: sa.Connection, term: str) -> int:
        """Chunks that have the term, of all tenants, counted no further than it matters; may be some writes behind, but not in 0."""
        known = self._frequencies.get(term)
        if known is None:
            known = connection.execute(_FREQUENCY, {"term": term, "most": OPTIONAL_ROWS + 1}).scalar_one()
            if known:
                self._frequencies[term] = known
        return known

    def _note(self, changed: int) -> None:
        self._changed += changed
        if self._changed >= BATCH:
            self._changed, self._frequencies = 0, {}

    def _forget(self, connection: sa.Connection, tenant: TenantId, ids: Sequence[ChunkId]) -> None:
        rows = connection.execute(_ENTRIES, {"tenant": tenant, "ids": json.dumps(ids)}).all()
        if rows:
            connection.execute(_FORGET, [_Entry(*row).parameters() for row in rows])
            connection.execute(_FORGET_ENTRY, [{"pk": row.pk} for row in rows])
            self._note(len(rows))


class _Entry(NamedTuple):
    """What FTS5 was given of a chunk, and has to be shown again when it should forget it."""

    pk: int
    title: str
    heading: str
    text: str

    def parameters(self) -> dict[str, int | str]:
        return {"pk": self.pk, "title": indexable(self.title), "heading": indexable(self.heading), "text": indexable(self.text)}


def match_terms(query: str) -> list[str]:
    """FTS5 strings for the query's terms; what is of a word is no quote."""
    return [f'"{term.words}"' + " *" * term.begins for term in query_terms(query)]


class Plan(NamedTuple):
    """match: what is asked first. everything: all of the query's words as alternatives, for when that finds too little."""

    match: str
    everything: str


def plan_match(frequencies: dict[str, int], limit: int) -> Plan:
    """FTS5 expressions for the terms, by how many chunks have each; "" where none has any."""
    present = sorted((term for term, rows in frequencies.items() if rows), key=lambda term: frequencies[term])
    required: list[str] = []
    optional: list[str] = []
    total = 0
    for term in present:
        total += frequencies[term]
        if total <= REQUIRED_ROWS or total - frequencies[term] < limit * ROWS_PER_HIT:
            required.append(term)
        elif total <= OPTIONAL_ROWS:
            optional.append(term)
    match = " OR ".join(required)
    if optional:
        match = f"({match}) AND ({' OR '.join([*required, *optional])})"
    return Plan(match, " OR ".join(present))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


@contextmanager
def _translated() -> Iterator[None]:
    """Damage inside the index is ours to name; other errors of the database are translated where it is opened."""
    try:
        yield
    except exc.DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == SQLITE_CORRUPT_VTAB:
            raise CorruptIndex("The text index is damaged.", hint="Run `localmind rebuild`; nothing is lost.") from error
        raise
