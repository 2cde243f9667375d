"""What costly extractors said of texts, so that nothing is paid for twice, and which sources they have yet to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from localmind.catalog.chunks import batched
from localmind.catalog.database import Database
from localmind.catalog.sources import OPEN_JOB, SHOWN_REVISION
from localmind.catalog.tables import extraction, job, revision, source
from localmind.model import SourceId, TenantId

MOST_DUE = 1000


class ExtractionTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def kept(self, tenant: TenantId, extractor: str, hashes: Sequence[str]) -> dict[str, Any]:
        """Results by text hash."""
        found: dict[str, Any] = {}
        with self._db.read(tenant) as connection:
            for batch in batched(hashes):
                query = sa.select(extraction.c.text_hash, extraction.c.result).where(
                    extraction.c.tenant == tenant, extraction.c.extractor == extractor, extraction.c.text_hash.in_(batch)
                )
                found |= {row.text_hash: row.result for row in connection.execute(query)}
        return found

    def has_any(self, tenant: TenantId) -> bool:
        with self._db.read(tenant) as connection:
            return connection.execute(sa.select(extraction.c.text_hash).where(extraction.c.tenant == tenant).limit(1)).first() is not None

    def keep(self, tenant: TenantId, extractor: str, results: Mapping[str, Any]) -> None:
        rows = [{"tenant": tenant, "text_hash": key, "extractor": extractor, "result": value} for key, value in results.items()]
        if not rows:
            return
        with self._db.write(tenant) as connection:
            # Two workers may have asked about one text: the first answer stays.
            connection.execute(self._db.insert(extraction).on_conflict_do_nothing(), rows)

    def forget(self, tenant: TenantId, hashes: Sequence[str]) -> None:
        with self._db.write(tenant) as connection:
            for batch in batched(hashes):
                connection.execute(sa.delete(extraction).where(extraction.c.tenant == tenant, extraction.c.text_hash.in_(batch)))

    # --- what is yet to be extracted

    def missing(self, tenant: TenantId, *, limit: int) -> list[tuple[SourceId, int]]:
        """Sources with chunks that an LLM has yet to extract, or gave up, and that no job works on; with the versions that search sees."""
        query = sa.select(source.c.id, source.c.version).join(revision, SHOWN_REVISION)
        is_open = sa.exists().where(job.c.tenant == source.c.tenant, job.c.source_id == source.c.id, job.c.status.in_(OPEN_JOB))
        query = query.where(source.c.tenant == tenant, source.c.deleted_at.is_(None), revision.c.missing > 0, ~is_open)
        query = query.order_by(source.c.id).limit(limit)
        with self._db.read(tenant) as connection:
            return [(SourceId(row.id), int(row.version)) for row in connection.execute(query)]

    def due(self) -> dict[TenantId, list[tuple[SourceId, int]]]:
        """As missing, of all tenants, some of those that waited for a budget and need not any more."""
        query = sa.select(source.c.tenant, source.c.id, source.c.version).join(revision, SHOWN_REVISION)
        query = query.where(revision.c.waits_until <= self._db.now(), source.c.deleted_at.is_(None))
        query = query.order_by(source.c.id).limit(MOST_DUE)
        found: dict[TenantId, list[tuple[SourceId, int]]] = {}
        with self._db.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.tenant, []).append((row.id, row.version))
        return found
