"""Holds every index and blob against the catalog, and mends what differs without reading, or asking an LLM, again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from localmind.catalog.chunks import BATCH, batched
from localmind.chunking import embedding_text
from localmind.embedding.port import Embedder
from localmind.errors import Conflict
from localmind.graph.merging import entity_id
from localmind.graph.port import ChunkExtraction, Graph
from localmind.ingest.accept import UNFETCHED
from localmind.ingest.extractions import Extractions
from localmind.ingest.resolution import Resolution
from localmind.ingest.store import Store
from localmind.model import Chunk, ChunkId, ChunkKey, EntityId, JobStatus, SourceId, TenantId
from localmind.operations import marks
from localmind.operations.figures import size_of
from localmind.operations.reports import Finding, RebuildReport, ReconcileReport, Stats
from localmind.text.port import TextIndex, TitledChunk
from localmind.vectors.port import Vectors

MOST_FINDINGS = 1000

EVERY_MENTION = 2**31 - 1

Progress = Callable[[int, int], None]


class Maintenance:
    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        extractions: Extractions,
        resolution: Resolution,
        *,
        data_dir: Path,
        on_remade: Callable[[TenantId], object] = lambda _: None,
    ) -> None:
        """on_remade: called with each tenant whose graph was made anew."""
        self._store, self._embedder, self._extractions, self._resolution = store, embedder, extractions, resolution
        self._data_dir, self._on_remade = data_dir, on_remade
        self._catalog = store.catalog

    # --- reconcile

    def reconcile(self, *, fix: bool) -> ReconcileReport:
        """Compare catalog, blobs, vectors, text and graph of every tenant. Sources that a job works on are left to it."""
        findings: list[Finding] = []
        count = 0
        checked = dict.fromkeys(("sources", "chunks", "vectors", "text", "graph", "blobs"), 0)
        left = dict.fromkeys(checked, 0)
        for tenant in self._tenants():
            for finding in self._check(tenant, checked, fix=fix):
                count += 1
                left[finding.store] = left.get(finding.store, 0) + (not finding.fixed)
                if len(findings) < MOST_FINDINGS:
                    findings.append(finding)
        marks.mark_reconciled(self._catalog, left)
        return ReconcileReport(tuple(findings), count, checked)

    def sweep_blobs(self) -> None:
        """After a kill: remove blobs whose upload never got as far as a row."""
        for tenant in self._store.blobs.tenants():
            list(self._check_blobs(tenant, {"blobs": 0}, fix=True))

    def _tenants(self) -> list[TenantId]:
        indexes = [index.tenants() for index in self._indexes().values()]
        return sorted({*self._catalog.sources.tenants(), *self._store.blobs.tenants(), *chain.from_iterable(indexes)})

    def _indexes(self) -> dict[str, Vectors | TextIndex | Graph]:
        return {"vectors": self._store.vectors, "text": self._store.text, "graph": self._store.graph}

    def _check(self, tenant: TenantId, checked: dict[str, int], *, fix: bool) -> Iterator[Finding]:
        busy = self._catalog.jobs.open_sources()
        chunks = dict(self._catalog.chunks.all_ids(tenant))
        sources = self._catalog.sources.ids(tenant)
        checked["sources"] += len(sources)
        checked["chunks"] += len(chunks)
        for name in self._indexes():
            yield from self._check_index(name, tenant, chunks, busy, checked, fix=fix)
        yield from self._check_counts(tenant, fix=fix)
        yield from self._check_names(tenant, fix=fix)
        yield from self._check_rows(tenant, chunks, sources, busy, fix=fix)
        yield from self._check_blobs(tenant, checked, fix=fix)

    def _check_index(
        self, name: str, tenant: TenantId, chunks: dict[ChunkId, SourceId], busy: set[SourceId], checked: dict[str, int], *, fix: bool
    ) -> Iterator[Finding]:
        """Vectors and text have every chunk, the graph those that mention something."""
        index = self._indexes()[name]
        seen: set[ChunkId] = set()
        extra: list[ChunkKey] = []
        for keys in index.keys(tenant):
            checked[name] += len(keys)
            for key in keys:
                if key.chunk_id in seen:
                    yield Finding(name, "duplicate", tenant, key.chunk_id)
                seen.add(key.chunk_id)
                if key.chunk_id not in chunks and key.source_id not in busy:
                    extra.append(key)
        missing = [ChunkKey(key, source) for key, source in chunks.items() if key not in seen and source not in busy]
        orphans, lacking = self._still(tenant, extra, missing)
        if name == "graph":
            lacking = [*self._with_entities(tenant, lacking), *self._damaged(tenant, busy)]
        if fix:
            self._mend(name, tenant, orphans, lacking)
        yield from (Finding(name, "orphan", tenant, key, fixed=fix) for key in orphans)
        yield from (Finding(name, "missing", tenant, key, fixed=fix) for key in lacking)

    def _mend(self, name: str, tenant: TenantId, orphans: list[ChunkId], lacking: list[ChunkId]) -> None:
        """What is left of chunks that lost something goes from the graph first: a batch written anew is not taken back by the next."""
        index = self._indexes()[name]
        with self._store.transaction_of(tenant, index):
            index.delete(tenant, [*orphans, *lacking] if name == "graph" else orphans)
        for batch in self._chunks(tenant, lacking):
            self._fill(name, tenant, batch)
            if name != "vectors":
                self._arrange(tenant, {chunk.source_id for chunk, _ in batch})

    def _still(self, tenant: TenantId, extra: list[ChunkKey], missing: list[ChunkKey]) -> tuple[list[ChunkId], list[ChunkId]]:
        """What is wrong at a second look: the catalog has moved on since the first, which may have taken minutes."""
        if not (extra or missing):
            return [], []
        busy = self._catalog.jobs.open_sources()
        rows = self._catalog.chunks.present(tenant, [key.chunk_id for key in (*extra, *missing)])
        orphans = [key.chunk_id for key in extra if key.chunk_id not in rows and key.source_id not in busy]
        return orphans, [key.chunk_id for key in missing if key.chunk_id in rows and key.source_id not in busy]

    def _damaged(self, tenant: TenantId, busy: set[SourceId]) -> list[ChunkId]:
        found = [key for keys in self._store.graph.damaged(tenant) for key in keys if key.source_id not in busy]
        return self._still(tenant, [], found)[1]

    def _check_counts(self, tenant: TenantId, *, fix: bool) -> Iterator[Finding]:
        """Looks twice, since writers may come between an entity and its mentions."""
        wrong = self._store.graph.miscounted(tenant)
        if wrong:
            again = set(self._store.graph.miscounted(tenant))
            wrong = [entity for entity in wrong if entity in again]
        if wrong and fix:
            self._recount(tenant, wrong)
        yield from (Finding("graph", "entity_miscounted", tenant, entity, fixed=fix) for entity in wrong)

    def _recount(self, tenant: TenantId, entities: list[EntityId]) -> None:
        """The relations of such an entity may be miscounted too. They go with its last mention, and come anew with the first."""
        graph = self._store.graph
        with self._store.transaction_of(tenant, graph):
            graph.recount(tenant, entities)
        speakers = {chunk for entity in entities for chunk in graph.mentions(tenant, entity, limit=EVERY_MENTION)}
        self._mend("graph", tenant, [], sorted(self._catalog.chunks.present(tenant, speakers)))

    def _check_names(self, tenant: TenantId, *, fix: bool) -> Iterator[Finding]:
        """Names that stand in the graph otherwise than the merges on record say."""
        wrong = self._resolution.wrong(tenant)
        if wrong and fix:
            self._resolution.mend(tenant, wrong)
        yield from (Finding("graph", "name_misplaced", tenant, entity_id(tenant, key), fixed=fix) for key in wrong)

    def _with_entities(self, tenant: TenantId, ids: list[ChunkId]) -> Iterator[ChunkId]:
        """Those of the chunks in which the extractor finds something."""
        for batch in self._chunks(tenant, ids):
            for (chunk, _), found in zip(batch, self._extractions.of(tenant, batch), strict=True):
                if found.entities:
                    yield chunk.id

    def _check_rows(
        self, tenant: TenantId, chunks: dict[ChunkId, SourceId], sources: set[SourceId], busy: set[SourceId], *, fix: bool
    ) -> Iterator[Finding]:
        """Rows without a source, and rows staged for a version that no job will bring."""
        stray = [key for key, source in chunks.items() if source not in sources]
        staged = [key for source in sources - busy for key in self._catalog.chunks.staged_ids(tenant, source)]
        if fix:
            self._store.erase(tenant, [*stray, *staged])
        yield from (Finding("catalog", "chunk_without_source", tenant, key, fixed=fix) for key in stray)
        yield from (Finding("catalog", "chunk_never_shown", tenant, key, fixed=fix) for key in staged)
        for source in self._catalog.sources.hidden(tenant) - busy:
            if fix:
                self._catalog.jobs.add(tenant, [("delete", source, 0, 0)])
            yield Finding("catalog", "delete_unfinished", tenant, source, fixed=fix)

    def _check_blobs(self, tenant: TenantId, checked: dict[str, int], *, fix: bool) -> Iterator[Finding]:
        with self._store.gate.alone():
            needed = self._catalog.sources.blob_keys(tenant)
            stored = set(self._store.blobs.keys(tenant))
            extra = stored - needed
            if fix:
                extra = set(self._store.drop_blobs(tenant, extra))
        checked["blobs"] += len(stored)
        yield from (Finding("blobs", "orphan", tenant, key, fixed=fix) for key in sorted(extra))
        yield from (Finding("blobs", "missing", tenant, key) for key in sorted(needed - stored - {UNFETCHED}))

    # --- rebuild

    def rebuild(self, on_progress: Progress = lambda _done, _total: None) -> RebuildReport:
        """Make all indexes anew from the catalog: no file is read, no LLM asked. Searches see them fill up.

        Raises Conflict while documents are being ingested: what a job has written and not committed would be lost.
        """
        if self._catalog.jobs.counts()[JobStatus.RUNNING]:
            raise Conflict("Documents are being ingested.", hint="Wait until `localmind jobs` shows none running, then try again.")
        return self.remake(("vectors", "text", "graph"), on_progress)

    def remake(self, names: Collection[str], on_progress: Progress) -> RebuildReport:
        """Rebuild some of them, where nobody works."""
        started = time.monotonic()
        done = sources = 0
        for tenant in sorted(self._catalog.sources.tenants()):
            for name in names:
                self._empty(name, tenant)
            total = self._catalog.chunks.count(tenant)
            ids = (key for key, _ in self._catalog.chunks.all_ids(tenant))
            sources += self._catalog.sources.count(tenant)
            for batch in self._chunks(tenant, ids):
                for name in names:
                    self._fill(name, tenant, batch)
                done += len(batch)
                on_progress(done, total)
            if "graph" in names:
                self._resolution.settle(tenant, chunks=None)
                self._arrange(tenant, self._catalog.sources.ids(tenant))
            self._store.vectors.optimize(tenant)
            if "vectors" in names:
                self._catalog.communities.forget_vectors(tenant)
            if "graph" in names:
                self._on_remade(tenant)
        return RebuildReport(sources, done, time.monotonic() - started)

    def _empty(self, name: str, tenant: TenantId) -> None:
        if name == "vectors":
            self._store.vectors.drop(tenant)
            return
        index = self._store.text if name == "text" else self._store.graph
        with self._store.transaction_of(tenant, index):
            index.clear(tenant)
            if index is self._store.graph:
                self._store.naming.aliases.clear(tenant)

    def _arrange(self, tenant: TenantId, sources: set[SourceId]) -> None:
        """Draw the reading order where the graph keeps one of its own."""
        if not self._store.graph.in_catalog:
            for batch in batched(sorted(sources)):
                self._store.graph.arrange(tenant, self._catalog.chunks.orders(tenant, batch))

    def stats(self, tenant: TenantId) -> Stats:
        return Stats(
            sources=self._catalog.sources.count(tenant),
            chunks=self._catalog.chunks.count(tenant),
            vectors=self._store.vectors.count(tenant),
            entities=self._store.graph.count_entities(tenant),
            jobs=self._catalog.jobs.counts(tenant),
            disk_bytes={name: size_of(self._data_dir, name) for name in ("catalog", "vectors", "blobs", "models")},
        )

    # --- making an index's rows from the catalog's

    def _chunks(self, tenant: TenantId, ids: Iterable[ChunkId]) -> Iterator[list[tuple[Chunk, str]]]:
        """Chunks with their titles, staged ones too, in batches."""
        for batch in batched(ids, BATCH):
            rows = self._catalog.chunks.get(tenant, batch)
            if rows:
                yield rows

    def _fill(self, name: str, tenant: TenantId, batch: list[tuple[Chunk, str]]) -> None:
        """Write the chunks to one index."""
        if name == "vectors":
            vectors = self._embedder.embed_documents([embedding_text(title, chunk.heading, chunk.text) for chunk, title in batch])
            self._store.vectors.write(tenant, [ChunkKey(chunk.id, chunk.source_id) for chunk, _ in batch], vectors)
        elif name == "text":
            with self._store.transaction_of(tenant, self._store.text):
                self._store.text.write(tenant, [TitledChunk(title, chunk) for chunk, title in batch])
        else:
            found = zip(batch, self._extractions.of(tenant, batch), strict=True)
            self._store.naming.write(tenant, [ChunkExtraction(chunk.source_id, chunk.id, each, chunk.text) for (chunk, _), each in found])
