"""Chunk rows: staged while a version is being ingested, visible from its commit on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.catalog import cursors
from localmind.catalog.database import Database
from localmind.catalog.tables import chunk, source
from localmind.model import Chunk, ChunkId, ListPage, SourceId, TenantId

BATCH = 500
"""Rows or bound values a statement; SQLite takes at most 32,766 values."""

COLUMNS = (
    chunk.c.id,
    chunk.c.source_id,
    chunk.c.ordinal,
    chunk.c.text,
    chunk.c.start,
    chunk.c.end,
    chunk.c.page,
    chunk.c.heading,
    chunk.c.breaks,
)


class Place(NamedTuple):
    """Where a chunk that an older version had stands in a newer one."""

    ordinal: int
    start: int
    end: int
    page: int | None
    breaks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VisibleChunk:
    chunk: Chunk
    title: str
    uri: str | None


class Chunks:
    def __init__(self, database: Database) -> None:
        self._db = database

    def visible(self, tenant: TenantId, ids: Collection[ChunkId]) -> dict[ChunkId, VisibleChunk]:
        """Those of the ids that a search may show: of the current version of a source that is not deleted."""
        found: dict[ChunkId, VisibleChunk] = {}
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                for row in connection.execute(VISIBLE, {"tenant": tenant, "ids": batch}):
                    found[row.id] = VisibleChunk(_chunk(row), row.title, row.uri)
        return found

    def neighbours(self, tenant: TenantId, ids: Collection[ChunkId]) -> dict[ChunkId, list[VisibleChunk]]:
        """The chunks right before and after each of the ids in its source, in reading order; all of them `visible`."""
        found: dict[ChunkId, list[VisibleChunk]] = defaultdict(list)
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                for row in connection.execute(NEIGHBOURS, {"tenant": tenant, "ids": batch}):
                    found[row.of].append(VisibleChunk(_chunk(row), row.title, row.uri))
        return dict(found)

    def page(self, tenant: TenantId, source_id: SourceId, *, limit: int, cursor: str | None) -> ListPage[Chunk]:
        """The visible version's chunks in reading order. Raises BadCursor."""
        after = cursors.decode(cursor, int)[0] if cursor else -1
        query = (
            sa.select(*COLUMNS)
            .join(source, source.c.id == chunk.c.source_id)
            .where(chunk.c.tenant == tenant, chunk.c.source_id == source_id, chunk.c.since <= source.c.version, chunk.c.ordinal > after)
            .order_by(chunk.c.ordinal)
            .limit(limit + 1)
        )
        with self._db.read(tenant) as connection:
            rows = connection.execute(query).all()
        items = tuple(_chunk(row) for row in rows[:limit])
        return ListPage(items, cursors.encode(items[-1].ordinal) if len(rows) > limit else None)

    def ids_of(self, tenant: TenantId, source_id: SourceId) -> set[ChunkId]:
        """Every chunk of the source, staged ones too."""
        with self._db.read(tenant) as connection:
            query = sa.select(chunk.c.id).where(chunk.c.tenant == tenant, chunk.c.source_id == source_id)
            return set(connection.execute(query).scalars())

    def staged_ids(self, tenant: TenantId, source_id: SourceId) -> list[ChunkId]:
        """Chunks that no visible version has."""
        query = (
            sa.select(chunk.c.id)
            .join(source, source.c.id == chunk.c.source_id)
            .where(chunk.c.tenant == tenant, chunk.c.source_id == source_id, chunk.c.since > source.c.version)
        )
        with self._db.read(tenant) as connection:
            return list(connection.execute(query).scalars())

    def stage(self, tenant: TenantId, rows: Sequence[tuple[Chunk, int]]) -> None:
        """Insert chunks with the version that brings them; ids must be new."""
        values = [
            {
                "id": item.id,
                "tenant": tenant,
                "source_id": item.source_id,
                "since": since,
                "ordinal": item.ordinal,
                "start": item.start,
                "end": item.end,
                "page": item.page,
                "breaks": item.breaks,
                "heading": item.heading,
                "text": item.text,
            }
            for item, since in rows
        ]
        if values:
            with self._db.write(tenant) as connection:
                connection.execute(sa.insert(chunk), values)

    def move(self, places: Mapping[ChunkId, Place]) -> None:
        """Give chunks that stayed their place in the new version."""
        if not places:
            return
        values = [
            {"b_id": key, "b_ordinal": p.ordinal, "b_start": p.start, "b_end": p.end, "b_page": p.page, "b_breaks": p.breaks}
            for key, p in places.items()
        ]
        with self._db.write() as connection:
            connection.execute(MOVE, values)

    def places(self, tenant: TenantId, source_id: SourceId) -> dict[ChunkId, Place]:
        query = sa.select(chunk.c.id, chunk.c.ordinal, chunk.c.start, chunk.c.end, chunk.c.page, chunk.c.breaks).where(
            chunk.c.tenant == tenant, chunk.c.source_id == source_id
        )
        with self._db.read(tenant) as connection:
            return {row.id: Place(row.ordinal, row.start, row.end, row.page, tuple(row.breaks)) for row in connection.execute(query)}

    def delete(self, tenant: TenantId, ids: Collection[ChunkId]) -> None:
        with self._db.write(tenant) as connection:
            for batch in batched(ids):
                connection.execute(DELETE, {"tenant": tenant, "ids": batch})

    def get(self, tenant: TenantId, ids: Collection[ChunkId]) -> list[tuple[Chunk, str]]:
        """Those that are there, staged ones too, each with its source's title, in no order."""
        found: list[tuple[Chunk, str]] = []
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                query = sa.select(*COLUMNS, source.c.title).join(source, source.c.id == chunk.c.source_id)
                found += [
                    (_chunk(row), row.title) for row in connection.execute(query.where(chunk.c.tenant == tenant, chunk.c.id.in_(batch)))
                ]
        return found

    def present(self, tenant: TenantId, ids: Collection[ChunkId]) -> set[ChunkId]:
        """Those that are there, staged ones too."""
        found: set[ChunkId] = set()
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                found |= set(connection.execute(sa.select(chunk.c.id).where(chunk.c.tenant == tenant, chunk.c.id.in_(batch))).scalars())
        return found

    def orders(self, tenant: TenantId, sources: Collection[SourceId]) -> dict[SourceId, list[ChunkId]]:
        """The chunks of each source in reading order, staged ones too."""
        found: dict[SourceId, list[ChunkId]] = defaultdict(list)
        query = sa.select(chunk.c.source_id, chunk.c.id).order_by(chunk.c.source_id, chunk.c.ordinal)
        with self._db.read(tenant) as connection:
            for source, id_ in connection.execute(query.where(chunk.c.tenant == tenant, chunk.c.source_id.in_(sources))):
                found[source].append(id_)
        return dict(found)

    def texts(self, tenant: TenantId, ids: Collection[ChunkId]) -> list[str]:
        """The texts of those that are there, in no order."""
        found: list[str] = []
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                found += connection.execute(sa.select(chunk.c.text).where(chunk.c.tenant == tenant, chunk.c.id.in_(batch))).scalars()
        return found

    def of_source(self, tenant: TenantId, source_id: SourceId, *, batch: int = BATCH) -> Iterator[Sequence[Chunk]]:
        """Every chunk of the source in reading order, in batches: to rebuild an index."""
        after = -1
        while True:
            query = (
                sa.select(*COLUMNS)
                .where(chunk.c.tenant == tenant, chunk.c.source_id == source_id, chunk.c.ordinal > after)
                .order_by(chunk.c.ordinal)
                .limit(batch)
            )
            with self._db.read(tenant) as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            after = rows[-1].ordinal
            yield [_chunk(row) for row in rows]

    def all_ids(self, tenant: TenantId) -> Iterator[tuple[ChunkId, SourceId]]:
        """Every chunk's id and source, staged ones too: for reconcile."""
        after = 0
        while True:
            query = (
                sa.select(chunk.c.pk, chunk.c.id, chunk.c.source_id)
                .where(chunk.c.pk > after, chunk.c.tenant == tenant)
                .order_by(chunk.c.pk)
                .limit(10_000)
            )
            with self._db.read(tenant) as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            after = rows[-1].pk
            yield from ((row.id, row.source_id) for row in rows)

    def count(self, tenant: TenantId) -> int:
        """Visible chunks."""
        query = (
            sa.select(sa.func.count())
            .select_from(chunk.join(source, source.c.id == chunk.c.source_id))
            .where(chunk.c.tenant == tenant, chunk.c.since <= source.c.version, source.c.deleted_at.is_(None))
        )
        with self._db.read(tenant) as connection:
            return int(connection.execute(query).scalar_one())


VISIBLE = (
    sa.select(*COLUMNS, source.c.title, source.c.uri)
    .join(source, source.c.id == chunk.c.source_id)
    .where(
        chunk.c.id.in_(sa.bindparam("ids", expanding=True)),
        chunk.c.tenant == sa.bindparam("tenant"),
        chunk.c.since <= source.c.version,
        source.c.deleted_at.is_(None),
    )
)
_middle = chunk.alias("middle")
NEIGHBOURS = (
    sa.select(*COLUMNS, source.c.title, source.c.uri, _middle.c.id.label("of"))
    .select_from(_middle)
    .join(source, source.c.id == _middle.c.source_id)
    .join(chunk, sa.and_(chunk.c.source_id == source.c.id, chunk.c.ordinal.in_([_middle.c.ordinal - 1, _middle.c.ordinal + 1])))
    .where(
        _middle.c.id.in_(sa.bindparam("ids", expanding=True)),
        _middle.c.tenant == sa.bindparam("tenant"),
        _middle.c.since <= source.c.version,
        chunk.c.tenant == sa.bindparam("tenant"),
        chunk.c.since <= source.c.version,
        source.c.deleted_at.is_(None),
    )
    .order_by(_middle.c.pk, chunk.c.ordinal)
)
DELETE = sa.delete(chunk).where(chunk.c.tenant == sa.bindparam("tenant"), chunk.c.id.in_(sa.bindparam("ids", expanding=True)))
MOVE = (
    sa.update(chunk)
    .where(chunk.c.id == sa.bindparam("b_id"))
    .values(
        ordinal=sa.bindparam("b_ordinal"),
        start=sa.bindparam("b_start"),
        end=sa.bindparam("b_end"),
        page=sa.bindparam("b_page"),
        breaks=sa.bindparam("b_breaks"),
    )
)


def batched(ids: Iterable[Any], size: int = BATCH) -> Iterator[list[Any]]:
    items = iter(ids)
    while batch := list(islice(items, size)):
        yield batch


def _chunk(row: Any) -> Chunk:
    return Chunk(row.id, row.source_id, row.ordinal, row.text, row.start, row.end, row.page, row.heading, tuple(row.breaks))
