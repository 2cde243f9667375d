"""Writes chunks to every store and takes them back, in an order that a kill can interrupt anywhere.

Vectors lie outside the catalog, so: they are written before the catalog's rows (a row without a vector would be a lie, a vector
without a row is invisible and found again by its source), and deleted after them. Text and graph join the catalog's transaction
where they live in it, and do as vectors do where they don't.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from localmind.blobs.port import Blobs
from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import batched
from localmind.graph.port import ChunkExtraction, Graph
from localmind.ids import text_hash
from localmind.ingest.naming import Look, Naming
from localmind.ingest.work import Work
from localmind.model import BlobKey, Chunk, ChunkId, ChunkKey, Extraction, Job, JobId, JobStatus, SourceId, TenantId
from localmind.operations import tracing
from localmind.text.port import TextIndex, TitledChunk
from localmind.vectors.port import Vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNKS_A_TRANSACTION = 2000
"""Deletes let other writers in between batches of this many chunks (about 0.1 s)."""


class Written(NamedTuple):
    """A chunk with all that the stores need of it."""

    work: Work
    chunk: Chunk
    extraction: Extraction


class LeaseLost(Exception):
    """Jobs that other workers have by now: nothing was written to the catalog."""

    def __init__(self, ids: set[JobId]) -> None:
        super().__init__(ids)
        self.ids = ids


class Gate:
    """Keeps the moment between a blob and the row that needs it from a sweep of blobs that no row needs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Around storing a blob and committing its row."""
        with self._changed:
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for all that are inside, and lets nobody in."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside == 0)
            yield


class Store:
    def __init__(self, catalog: Catalog, blobs: Blobs, vectors: Vectors, text: TextIndex, graph: Graph) -> None:
        self.catalog, self.blobs, self.vectors, self.text, self.graph = catalog, blobs, vectors, text, graph
        self.gate = Gate()
        self.naming = Naming(catalog.database, graph)

    # --- forward

    def write(
        self,
        items: Sequence[Written],
        vectors: NDArray[np.float32] | None,
        finished: Sequence[Work],
        *,
        enrich: bool,
        again: bool = False,
    ) -> None:
        """Store chunks (invisible yet) and let the finished works appear; vectors: (len(items), dim), in order; None without items.

        again: an attempt before may have got as far as the vectors. Raises LeaseLost.
        """
        writing = {item.work: None for item in items}
        jobs = [work.job for work in {**writing, **dict.fromkeys(finished)}]
        if not self.catalog.database.is_sqlite:  # before a server is written to, where a job may be another worker's by now
            self._confirm(jobs)
        by_tenant: dict[TenantId, list[int]] = defaultdict(list)
        for at, item in enumerate(items):
            by_tenant[item.work.job.tenant].append(at)
        looks: dict[TenantId, Look] = {}
        for tenant, places in by_tenant.items():
            assert vectors is not None
            batch = [items[at] for at in places]
            looks[tenant] = self.naming.look(tenant, _said(batch))
            self._write_outside(tenant, batch, vectors[places] if len(places) < len(items) else vectors, looks[tenant], again=again)
        entities = None if self.graph.in_catalog else self._arrange(finished)
        tenants = {job.tenant for job in jobs}
        with self.catalog.database.write(tenants.pop() if len(tenants) == 1 else None):
            self._confirm(jobs)
            for tenant, places in by_tenant.items():
                batch = [items[at] for at in places]
                self.catalog.chunks.stage(tenant, [(item.chunk, item.work.job.version) for item in batch])
                if self.text.in_catalog:
                    self._index_text(tenant, batch)
                self.naming.within(tenant, _said(batch), looks[tenant])
            self.catalog.jobs.progress([(work.job, work.stage, work.progress) for work in writing], got_on=True)
            self._show(finished, self._count_entities(finished) if entities is None else entities, enrich=enrich)

    def _write_outside(self, tenant: TenantId, items: Sequence[Written], vectors: NDArray[np.float32], look: Look, *, again: bool) -> None:
        """Into the indexes outside the catalog: vectors beside text and graph where both wait for a server of their own."""
        keys = [ChunkKey(item.chunk.id, item.chunk.source_id) for item in items]
        store = self.vectors.write if again else self.vectors.append
        if self.text.in_catalog and self.graph.in_catalog:
            store(tenant, keys, vectors)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="ingest-vectors") as beside:
            stored = beside.submit(tracing.carried(store), tenant, keys, vectors)
            if not self.text.in_catalog:
                self._index_text(tenant, items)
            self.naming.before(tenant, _said(items), look)
            stored.result()

    def _confirm(self, jobs: Sequence[Job]) -> None:
        lost = {job.id for job in jobs} - self.catalog.jobs.confirm(jobs)
        if lost:
            raise LeaseLost(lost)

    def _index_text(self, tenant: TenantId, items: Sequence[Written]) -> None:
        self.text.write(tenant, [TitledChunk(item.work.title, item.chunk) for item in items])

    def _arrange(self, works: Sequence[Work]) -> dict[SourceId, int]:
        """Tell a graph outside the catalog the reading orders; returns how many entities it knows of each source."""
        orders: dict[TenantId, dict[SourceId, list[ChunkId]]] = defaultdict(dict)
        for work in works:
            if work.places:
                orders[work.job.tenant][work.revision.source_id] = sorted(work.places, key=lambda key: work.places[key].ordinal)
        for tenant, of_sources in orders.items():
            self.graph.arrange(tenant, of_sources)
        return self._count_entities(works)

    def _count_entities(self, works: Sequence[Work]) -> dict[SourceId, int]:
        sources: dict[TenantId, list[SourceId]] = defaultdict(list)
        for work in works:
            sources[work.job.tenant].append(work.revision.source_id)
        return {source: count for tenant, ids in sources.items() for source, count in self.graph.entities_of(tenant, ids).items()}

    def _show(self, works: Sequence[Work], entities: Mapping[SourceId, int], *, enrich: bool) -> None:
        """The one step in which versions appear; a job is over unless something of the old version is left to clear."""
        sources = self.catalog.sources
        for work in works:
            tenant, source = work.job.tenant, work.revision.source_id
            self._drop_rows(tenant, work.present.keys() - work.places.keys())
            self.catalog.chunks.move({key: place for key, place in work.places.items() if work.present.get(key, place) != place})
            if work.title != work.revision.title:
                sources.update(tenant, source, title=work.title)
        sources.show([(work.revision.source_id, work.job.version) for work in works])
        sources.update_revision(
            [self._facts(work, entities.get(work.revision.source_id, 0), enrich=enrich) for work in works if not work.is_resumed]
        )
        self.catalog.jobs.finish([w.job for w in works if not (enrich or self.has_leftovers(w))], JobStatus.SUCCEEDED)

    @staticmethod
    def _facts(work: Work, entities: int, *, enrich: bool) -> dict[str, Any]:
        document = work.document
        return {
            "source_id": work.revision.source_id,
            "version": work.job.version,
            "pages": len(document.pages) or None,
            "chars": len(document.text),
            "notes": list(document.notes),
            "partial": bool(document.empty_pages),
            "chunks": len(work.places),
            "missing": len(work.places) if enrich else 0,
            "entities": entities,
        }

    @staticmethod
    def has_leftovers(work: Work) -> bool:
        """Whether the version before it left something to clear after the new one appeared."""
        return work.revision.visible > 0 or bool(work.present)

    def clear_leftovers(self, job: Job) -> None:
        """After a job's version appeared: what indexes hold of chunks that are gone, old revisions and blobs that nothing needs."""
        self.sweep(job)
        with self.catalog.alone(job.tenant):
            for key in self.catalog.sources.drop_old_revisions(job.tenant, _source_of(job), keep_from=job.version):
                self.blobs.delete(job.tenant, key)

    def drop_blobs(self, tenant: TenantId, keys: Collection[BlobKey]) -> list[BlobKey]:
        """Remove those that no row needs, and no upload that commits meanwhile; returns them."""
        dropped: list[BlobKey] = []
        for batch in batched(keys):
            with self.catalog.alone(tenant):
                unneeded = sorted(set(batch) - self.catalog.sources.needed_blobs(tenant, batch))
                for key in unneeded:
                    self.blobs.delete(tenant, key)
            dropped += unneeded
        return dropped

    # --- back

    def sweep(self, job: Job) -> None:
        """Delete what indexes outside the catalog hold of the job's source without a row: of a batch that a kill cut off, or of chunks
        gone. Leaves off where another worker has the job by now: what that one writes has no row yet either.
        """
        for index, keys in self._keys_outside(job.tenant, _source_of(job)):
            if self._without_rows(job.tenant, keys):
                with self.catalog.database.write():  # nobody takes the job until the transaction's end
                    if not self.catalog.jobs.confirm([job]):
                        return
                    index.delete(job.tenant, self._without_rows(job.tenant, keys))

    def _keys_outside(self, tenant: TenantId, source: SourceId) -> Iterator[tuple[Vectors | TextIndex | Graph, Sequence[ChunkKey]]]:
        """What the indexes that don't commit with the catalog hold of a source, index by index and batch by batch."""
        for index in self._outside():
            for keys in list(index.keys(tenant, source=source)):
                yield index, keys

    def _without_rows(self, tenant: TenantId, keys: Sequence[ChunkKey]) -> list[ChunkId]:
        present = self.catalog.chunks.present(tenant, [key.chunk_id for key in keys])
        return [key.chunk_id for key in keys if key.chunk_id not in present]

    def sweep_if_idle(self, tenant: TenantId, source: SourceId) -> bool:
        """Sweep, unless a job works on the source or will: what it writes has no row yet. False then."""
        import numpy as np

        with self.catalog.alone(tenant):
            if self.catalog.jobs.is_open(tenant, source):
                return False
            for index, keys in self._keys_outside(tenant, source):
                if orphans := self._without_rows(tenant, keys):
                    index.delete(tenant, orphans)
            known = sorted(self.catalog.chunks.ids_of(tenant, source))
            if self.vectors.count(tenant, source=source) > len(known):  # appended once more, by a worker that was late
                vectors = self.vectors.get(tenant, known)
                self.vectors.delete(tenant, known)
                self.vectors.append(tenant, [ChunkKey(key, source) for key in vectors], np.stack(list(vectors.values())))
            return True

    def transaction_of(self, tenant: TenantId, index: Vectors | TextIndex | Graph) -> AbstractContextManager[object]:
        """What a write to the index alone stands in."""
        return nullcontext() if index in self._outside() else self.catalog.database.write(tenant)

    def _outside(self) -> list[Vectors | TextIndex | Graph]:
        """The indexes that don't commit with the catalog."""
        return [self.vectors, *(index for index in (self.text, self.graph) if not index.in_catalog)]

    def discard(self, job: Job) -> None:
        """Take back what was staged for a job's version, which will not appear; leaves off where another worker has the job by now."""
        for batch in batched(self.catalog.chunks.staged_ids(job.tenant, _source_of(job)), CHUNKS_A_TRANSACTION):
            with self.catalog.database.write():
                if not self.catalog.jobs.confirm([job]):
                    return
                self._drop_rows(job.tenant, batch)
        self.sweep(job)

    def remove(self, tenant: TenantId, sources: Sequence[SourceId], jobs: Sequence[Job]) -> None:
        """Remove hidden sources from every store and finish their jobs. Safe to run again after a kill."""
        for source in sources:
            self.drop_chunks(tenant, list(self.catalog.chunks.ids_of(tenant, source)))
        for index in self._outside():
            index.delete_sources(tenant, sources)
        with self.catalog.alone(tenant):
            # Blobs go inside the transaction: an upload of the same content waits for it, and then sees whether they are there.
            for source in sources:
                for key in self.catalog.sources.drop(tenant, source):
                    self.blobs.delete(tenant, key)
            self.catalog.jobs.finish(jobs, JobStatus.SUCCEEDED)

    def erase(self, tenant: TenantId, ids: Collection[ChunkId]) -> None:
        """Out of the catalog and every index."""
        self.drop_chunks(tenant, ids)
        for index in self._outside():
            index.delete(tenant, list(ids))

    def drop_chunks(self, tenant: TenantId, ids: Collection[ChunkId]) -> None:
        """Out of the catalog and what commits with it, in batches."""
        for batch in batched(ids, CHUNKS_A_TRANSACTION):
            with self.catalog.database.write(tenant):
                self._drop_rows(tenant, batch)
            time.sleep(0)  # let a waiting writer in

    def _drop_rows(self, tenant: TenantId, ids: Collection[ChunkId]) -> None:
        """Out of the extraction cache, the catalog and what commits with it, in one transaction."""
        if not ids:
            return
        ids = list(ids)
        with self.catalog.database.write(tenant):
            self.naming.aliases.forget(tenant, ids)
            for index in (self.text, self.graph):
                if index.in_catalog:
                    index.delete(tenant, ids)
            if self.catalog.extractions.has_any(tenant):
                self.catalog.extractions.forget(tenant, [text_hash(text) for text in self.catalog.chunks.texts(tenant, ids)])
            self.catalog.chunks.delete(tenant, ids)


def _source_of(job: Job) -> SourceId:
    assert job.source_id is not None  # a job that writes has one
    return job.source_id


def _said(items: Sequence[Written]) -> list[ChunkExtraction]:
    return [ChunkExtraction(item.chunk.source_id, item.chunk.id, item.extraction, item.chunk.text) for item in items]
