"""The first stage: a claimed job's bytes become a document and a plan of its chunks; a container becomes sources of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from localmind.blobs.port import Blobs
from localmind.catalog.catalog import Catalog
from localmind.catalog.jobs import Claim
from localmind.catalog.sources import Revision
from localmind.chunking import chunk
from localmind.embedding.port import Tokenizer
from localmind.errors import Cancelled, NoText
from localmind.ingest import documents
from localmind.ingest.accept import UNFETCHED, Accept, Incoming
from localmind.ingest.store import Store
from localmind.ingest.work import READ_SHARE, Work, job_error
from localmind.limits.quotas import full
from localmind.model import Chunk, Document, Job, JobStatus, Part, Stage
from localmind.operations import tracing
from localmind.readers.fetch import Fetched
from localmind.readers.sandbox import Parts, Readers

PARTS_A_TRANSACTION = 200


class Prepare:
    """Called by several threads at once, for different jobs."""

    def __init__(
        self,
        store: Store,
        accept: Accept,
        readers: Readers,
        tokenizer: Tokenizer,
        *,
        chunk_tokens: int,
        overlap_tokens: int,
        fetch: Callable[[str], Fetched],
        report: Callable[[Job, str, float], None],
        is_cancelled: Callable[[Job], bool],
    ) -> None:
        self._store, self._accept, self._readers, self._tokenizer = store, accept, readers, tokenizer
        self._chunk_tokens, self._overlap_tokens, self._download = chunk_tokens, overlap_tokens, fetch
        self._report, self._is_cancelled = report, is_cancelled

    @property
    def _catalog(self) -> Catalog:
        return self._store.catalog

    @property
    def _blobs(self) -> Blobs:
        return self._store.blobs

    def __call__(self, claim: Claim) -> Work | None:
        """The work that the job asks for; None where there is nothing left to embed and the job is over.

        Raises the reader's errors, and Cancelled.
        """
        job, revision = claim.job, claim.revision
        assert job.source_id is not None
        if revision is None:  # a newer version was shown, and has cleared it away
            revision = self._catalog.sources.revision(job.tenant, job.source_id)
        if revision.visible > job.version:
            overtaken = Cancelled("A newer version of the document took its place.")
            self._catalog.jobs.finish([job], JobStatus.CANCELLED, error=job_error(overtaken, None))
            return None
        if revision.visible == job.version:  # a kill came between the version's appearance and the job's end
            return self._resume_after_commit(job, revision)
        if not claim.is_first or revision.visible != job.version - 1:  # somebody may have written, and got no further
            self._store.sweep(job)
        if revision.blob_key == UNFETCHED:
            with tracing.span("fetch"):
                revision = self._fetch(job, revision)
        with tracing.span("read"):
            is_read = revision.document_key is not None or revision.is_text
            document = documents.load(self._blobs, revision) if is_read else self._read(job, revision)
        if document is None:
            self._catalog.jobs.finish([job], JobStatus.SUCCEEDED)
            return None
        return self._plan(job, revision, document, is_new=claim.is_first and revision.latest == 1)

    def _resume_after_commit(self, job: Job, revision: Revision) -> Work:
        """A work without chunks left: what remains is to clear up, and to enrich."""
        source = revision.source_id
        present = self._catalog.chunks.places(job.tenant, source)
        work = Work(job, revision, revision.title, Document("", revision.media_type), iter(()), present, exhausted=True, is_resumed=True)
        work.places = dict(present)
        return work

    def _plan(self, job: Job, revision: Revision, document: Document, *, is_new: bool) -> Work:
        source = revision.source_id
        own = document.title if revision.kind in ("file", "url") else None
        title = own or revision.title
        chunks = chunk(
            document,
            self._tokenizer,
            source_id=source,
            tenant=job.tenant,
            title=title,
            max_tokens=self._chunk_tokens,
            overlap_tokens=self._overlap_tokens,
        )
        room = self._accept.quotas.room_for_chunks(job.tenant)
        if room is not None:
            chunks = _within(chunks, room, int(self._accept.quotas.of(job.tenant).chunks))
        present = {} if is_new else self._catalog.chunks.places(job.tenant, source)
        return Work(job, revision, title, document, chunks, present)

    # --- reading

    def _read(self, job: Job, revision: Revision) -> Document | None:
        """Read the file in a child process and keep the document, so that it is read once; None where its parts became sources."""
        filename = revision.filename or ""
        with self._blobs.local_file(job.tenant, revision.blob_key) as path:
            media_type = self._readers.detect(path, filename=filename)
            parts = self._readers.parts(path, filename=filename)
            if parts is not None:
                self._fan_out(job, revision, media_type, parts)
                return None

            def on_progress(done: int, total: int) -> None:
                self._report(job, Stage.READ, READ_SHARE * done / max(total, 1))

            document = self._readers.read(path, filename=filename, on_progress=on_progress, cancelled=lambda: self._is_cancelled(job))
        if not document.text.strip():
            raise NoText(f"{filename or revision.title!r} holds no text.", hint="Put in a file with text, or a scan that OCR can read.")
        with self._store.gate.shared():
            key = documents.save(self._blobs, job.tenant, document)
            changes = {"document_key": key, "media_type": document.media_type}
            with self._catalog.alone(job.tenant):
                if not self._blobs.exists(job.tenant, key):  # a delete removed it since, as the last one that needed it
                    documents.save(self._blobs, job.tenant, document)
                self._catalog.sources.update_revision([{"source_id": revision.source_id, "version": job.version, **changes}])
        return document

    def _fan_out(self, job: Job, revision: Revision, media_type: str, parts: Parts) -> None:
        """Accept each part as a source; parts that did not change since an earlier export are left alone."""
        iterator = iter(parts)
        count = 0
        while batch := list(islice(iterator, PARTS_A_TRANSACTION)):
            if self._is_cancelled(job):
                raise Cancelled("The job was cancelled.")
            self._accept(job.tenant, [_incoming(part, revision) for part in batch], bulk=True)
            count += len(batch)
            self._report(job, Stage.READ, 0.5)
        if count == 0:
            raise NoText(
                f"{revision.filename or revision.title!r} holds no conversation with a turn in it.",
                hint="Export your data again and put in that file.",
            )
        with self._catalog.database.write(job.tenant):
            if not self._catalog.jobs.confirm([job]):
                return
            self._catalog.sources.update(job.tenant, revision.source_id, kind="archive")
            row = {
                "source_id": revision.source_id,
                "version": job.version,
                "media_type": media_type,
                "notes": [f"{count} documents came out of this file; each is a source of its own.", *parts.notes],
                "partial": bool(parts.notes),
            }
            self._catalog.sources.update_revision([row])
            self._catalog.sources.show([(revision.source_id, job.version)])

    def _fetch(self, job: Job, revision: Revision) -> Revision:
        fetched = self._download(revision.uri or "")
        self._accept.quotas.check_upload(job.tenant, len(fetched.data))
        with self._store.gate.shared():
            key, size = self._blobs.put(job.tenant, io.BytesIO(fetched.data))
            changes = {"blob_key": key, "content_hash": key, "size_bytes": size, "filename": fetched.filename}
            with self._catalog.alone(job.tenant):
                if not self._blobs.exists(job.tenant, key):
                    self._blobs.put(job.tenant, io.BytesIO(fetched.data))
                self._accept.count(job.tenant, size, documents=0)
                self._catalog.sources.update_revision([{"source_id": revision.source_id, "version": job.version, **changes}])
        return replace(revision, blob_key=key, content_hash=key, size_bytes=size, filename=fetched.filename)


def _within(chunks: Iterator[Chunk], room: int, limit: int) -> Iterator[Chunk]:
    """The chunks, as long as there is room. Documents that are cut at the same moment each have all of it."""
    for number, each in enumerate(chunks):
        if number >= room:
            raise full("chunks", limit, limit - room, number + 1)
        yield each


def _incoming(part: Part, container: Revision) -> Incoming:
    return Incoming(
        title=part.title,
        kind="part",
        data=io.BytesIO(part.data),
        uri=part.uri,
        media_type=part.media_type,
        parent_id=container.source_id,
    )
