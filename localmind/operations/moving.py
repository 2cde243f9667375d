"""Moves everything from one set of engines to another: no file is read again, nothing embedded, no LLM asked.

The catalog's rows go over as they are, blobs by their hash; vectors, text and graph are written through their ports from what the
old engines hold. Each step can be cut off and run again; what it did is kept in the target's settings until the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import sqlalchemy as sa

from localmind.catalog import tables
from localmind.catalog.account_tables import ACCOUNT_TABLES
from localmind.catalog.audit_tables import PRIVACY_TABLES
from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import batched
from localmind.catalog.database import Database
from localmind.errors import Conflict, LocalMindError
from localmind.ids import random_id
from localmind.ingest.store import Store
from localmind.model import ChunkId, ChunkKey, JobStatus, TenantId
from localmind.operations.reports import MoveReport
from localmind.text.port import TitledChunk

BATCH = 1000

TABLES = (
    tables.tenant,
    tables.source,
    tables.source_tag,
    tables.revision,
    tables.chunk,
    tables.extraction,
    tables.spending,
    tables.quota,
    tables.alias,
    tables.apart,
    tables.spelling,
    tables.definition,
    tables.unsettled,
    tables.job,
    tables.conversation,
    tables.message,
    *ACCOUNT_TABLES,
    *PRIVACY_TABLES,
    tables.usage,
    tables.setting,
)
"""What is copied, what a person would name first ahead. The graph's tables are not: the target's graph is written through its port."""

MARKER = "move"
"""Setting of the target while a move into it is not finished."""

INSTANCE = "instance"
"""Setting that tells one catalog from another."""

Progress = Callable[[str, int, int], None]


class MoveFailed(LocalMindError): ...


def unfinished(catalog: Catalog) -> bool:
    """Whether a move into this catalog was begun and not finished."""
    return catalog.setting(MARKER) is not None


def move(source: Store, target: Store, *, report: Progress) -> MoveReport:
    """Copy all, then compare. Both stores are open, and nobody else writes to either.

    Raises Conflict where the target holds something else, MoveFailed where the comparison finds a difference.
    """
    state = _begin(source, target)
    for table in TABLES:
        if table.name not in state["tables"]:
            _copy_rows(table, source.catalog.database, target.catalog.database, report)
            state["tables"].append(table.name)
            target.catalog.set_setting(MARKER, state)
    _set_sequences(target.catalog.database)
    for tenant in sorted(source.catalog.sources.tenants()):
        _copy_blobs(tenant, source, target, report)
        _copy_indexes(tenant, source, target, state, report)
    found = Comparison(source, target, report).run()
    if found.differences:
        target.catalog.set_setting(MARKER, state | {"tables": [], "chunks": {}})  # the next try copies all anew
        hint = "Run the move again; if it stays, empty the target, and run `localmind reconcile` on the source first."
        raise MoveFailed(f"The copy differs: {'; '.join(found.differences[:5])}.", hint=hint)
    target.catalog.set_setting(MARKER, None)
    return found


def _begin(source: Store, target: Store) -> dict[str, Any]:
    """The state that an earlier try left, or a new one."""
    origin = source.catalog.setting(INSTANCE)
    if origin is None:
        origin = random_id()
        source.catalog.set_setting(INSTANCE, origin)
    known = target.catalog.setting(MARKER)
    state: dict[str, Any] = known if isinstance(known, dict) else {}
    if not state:
        _require_empty(target, source.catalog.sources.tenants())
        state = {"origin": origin, "tables": [], "chunks": {}}
        target.catalog.set_setting(MARKER, state)
    if state["origin"] != origin:
        raise Conflict("The target holds an unfinished move of another catalog.", hint="Finish that one, or empty the target.")
    return state


def _require_empty(target: Store, tenants: Collection[TenantId]) -> None:
    """Of everything, conversations too: what is there would stay, and the comparison would find it. Shared folders are found so as well."""
    held = [f"{table.name}s" for table in TABLES if table is not tables.setting and _count(table, target.catalog.database)]
    others = {
        "files": target.blobs.tenants,
        "vectors": target.vectors.tenants,
        "texts": target.text.tenants,
        "entities": target.graph.tenants,
    }
    held += [name for name, there in others.items() if not set(tenants).isdisjoint(there())]
    if held:
        hint = "Move into empty engines: a new database and a DATA_DIR, collection and bucket of its own."
        raise Conflict(f"The target holds {held[0]} already.", hint=hint)


# --- rows


def _copy_rows(table: sa.Table, source: Database, target: Database, report: Progress) -> None:
    insert = target.insert(table).on_conflict_do_nothing()
    total, done = _count(table, source), 0
    for rows in _rows(table, source):
        if rows:
            with target.write() as connection:
                connection.execute(insert, rows)
        done += len(rows)
        report(table.name, done, total)


def _rows(table: sa.Table, database: Database) -> Iterator[list[dict[str, Any]]]:
    """All rows in the order of their key, in batches; jobs that a worker had are queued."""
    key = list(table.primary_key.columns)
    query = sa.select(table).order_by(*key).limit(BATCH)
    after: Sequence[Any] | None = None
    while True:
        page = query if after is None else query.where(sa.tuple_(*key) > sa.tuple_(*(sa.literal(value) for value in after)))
        with database.read() as connection:
            found = connection.execute(page).mappings().all()
        if not found:
            return
        after = [found[-1][column.name] for column in key]
        rows = [_moved(table, dict(row)) for row in found]
        yield [row for row in rows if row.get("name") not in (MARKER, INSTANCE) or table is not tables.setting]


def _moved(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    if table is tables.job:
        if row["status"] == JobStatus.RUNNING:
            row["status"] = str(JobStatus.QUEUED)
        row |= {"owner": None, "lease_until": None}
    return row


def _count(table: sa.Table, database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _set_sequences(database: Database) -> None:
    """Rows came with their keys: the next one made has to lie after them."""
    if database.is_sqlite:
        return
    with database.write() as connection:
        for table in TABLES:
            if "pk" in table.columns:
                highest = sa.select(sa.func.coalesce(sa.func.max(table.c.pk), 1)).scalar_subquery()
                connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, "pk"), highest)))


# --- blobs and indexes


def _copy_blobs(tenant: TenantId, source: Store, target: Store, report: Progress) -> None:
    keys = list(source.blobs.keys(tenant))
    for done, key in enumerate(keys, start=1):
        if not target.blobs.exists(tenant, key):
            with source.blobs.local_file(tenant, key) as path, path.open("rb") as data:
                stored, _ = target.blobs.put(tenant, data)
            if stored != key:
                raise MoveFailed(f"File {key} has other content than its name says.", hint="Restore it, or delete its source.")
        report("files", done, len(keys))


def _copy_indexes(tenant: TenantId, source: Store, target: Store, state: dict[str, Any], report: Progress) -> None:
    total = source.catalog.chunks.count(tenant)
    done = state["chunks"].get(tenant, 0)
    ids = (key for key, _ in islice(source.catalog.chunks.all_ids(tenant), done, None))
    for batch in batched(ids, BATCH):
        _copy_chunks(tenant, batch, source, target)
        done += len(batch)
        state["chunks"][tenant] = done
        target.catalog.set_setting(MARKER, state)
        report("chunks", done, total)
    if not target.graph.in_catalog:
        for sources in batched(sorted(target.catalog.sources.ids(tenant))):
            target.graph.arrange(tenant, target.catalog.chunks.orders(tenant, sources))
    target.vectors.optimize(tenant)


def _copy_chunks(tenant: TenantId, ids: list[ChunkId], source: Store, target: Store) -> None:
    rows = source.catalog.chunks.get(tenant, ids)
    vectors = source.vectors.get(tenant, ids)
    keys = [ChunkKey(chunk.id, chunk.source_id) for chunk, _ in rows if chunk.id in vectors]
    if keys:
        target.vectors.write(tenant, keys, np.stack([vectors[key.chunk_id] for key in keys]))
    with target.transaction_of(tenant, target.text):
        target.text.write(tenant, [TitledChunk(title, chunk) for chunk, title in rows])
    with target.transaction_of(tenant, target.graph):
        target.graph.write(tenant, source.graph.said(tenant, ids))


# --- comparing


class Comparison:
    """Counts and checksums of both sides."""

    def __init__(self, source: Store, target: Store, report: Progress) -> None:
        self._source, self._target, self._report = source, target, report
        self._counts: dict[str, int] = {}
        self._differences: list[str] = []

    def run(self) -> MoveReport:
        for table in TABLES:
            self._note(table.name, *(_checksum(table, store.catalog.database) for store in (self._source, self._target)))
        for tenant in sorted(self._source.catalog.sources.tenants()):
            self._note("files", *(_digest(sorted(store.blobs.keys(tenant))) for store in (self._source, self._target)))
            self._compare_indexes(tenant)
        return MoveReport(self._counts, tuple(self._differences))

    def _compare_indexes(self, tenant: TenantId) -> None:
        ids = [key for key, _ in self._source.catalog.chunks.all_ids(tenant)]
        for done, batch in enumerate(batched(ids, BATCH), start=1):
            for name, of in (("vectors", _vectors), ("graph", _said)):
                self._note(name, of(self._source, tenant, batch), of(self._target, tenant, batch))
            self._report("compared", min(done * BATCH, len(ids)), len(ids))
        self._note("text", *(_digest(sorted(k for b in s.text.keys(tenant) for k in b)) for s in (self._source, self._target)))

    def _note(self, name: str, ours: tuple[int, str], theirs: tuple[int, str]) -> None:
        self._counts[name] = self._counts.get(name, 0) + theirs[0]
        if ours != theirs:
            self._differences.append(f"{name}: {ours[0]} here, {theirs[0]} there" if ours[0] != theirs[0] else f"{name}: other content")


def _checksum(table: sa.Table, database: Database) -> tuple[int, str]:
    """A sum over the rows, since engines sort strings differently."""
    count = total = 0
    for rows in _rows(table, database):
        count += len(rows)
        total += sum(int.from_bytes(hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()) for row in rows)
    return count, f"{total % 2**256:x}"


def _digest(items: Sequence[Any]) -> tuple[int, str]:
    return len(items), hashlib.sha256(json.dumps(items).encode()).hexdigest()


def _vectors(store: Store, tenant: TenantId, ids: list[ChunkId]) -> tuple[int, str]:
    found = store.vectors.get(tenant, ids)
    digest = hashlib.sha256()
    for key in sorted(found):
        digest.update(key.encode() + np.ascontiguousarray(found[key], dtype=np.float32).tobytes())
    return len(found), digest.hexdigest()


def _said(store: Store, tenant: TenantId, ids: list[ChunkId]) -> tuple[int, str]:
    said = sorted(store.graph.said(tenant, ids), key=lambda item: item.chunk_id)
    return _digest([(item.chunk_id, asdict(item.extraction)) for item in said])
