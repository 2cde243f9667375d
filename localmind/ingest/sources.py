"""The verbs over sources: put in, replace, look at, delete. Writes answer after the commit; workers do the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from localmind.catalog.audit import Event
from localmind.catalog.jobs import INTERACTIVE
from localmind.catalog.sources import TEXT_MEDIA_TYPE
from localmind.errors import Conflict, InvalidInput, Unavailable
from localmind.ingest import documents
from localmind.ingest.accept import Accept, Incoming, is_clean, safe_filename, text_data, title_of
from localmind.ingest.enrich import queue_missing
from localmind.ingest.store import Store
from localmind.model import Accepted, Chunk, Document, JobStatus, ListPage, Source, SourceId, SourceStatus, TenantId

MOST_MISSING = 10_000


@dataclass(frozen=True, slots=True)
class NewText:
    title: str
    text: str
    uri: str | None = None
    tags: tuple[str, ...] = ()
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class ContentFile:
    """An original file: path is readable until the context ends."""

    path: Path
    filename: str
    media_type: str


class Sources:
    def __init__(self, store: Store, accept: Accept, *, wake: Callable[[], None], has_llm: bool = False) -> None:
        self._store, self._has_llm = store, has_llm
        self._catalog, self._blobs, self._vectors, self._graph = store.catalog, store.blobs, store.vectors, store.graph
        self._accept, self._wake = accept, wake

    # --- putting in

    def upload(
        self, tenant: TenantId, *, filename: str, data: BinaryIO, uri: str | None = None, tags: Sequence[str] = (), bulk: bool = False
    ) -> Accepted:
        """Accept a file. Raises TooLarge, InvalidInput, DiskFull."""
        return self._accept(tenant, [_file(filename, data, uri, tags)], bulk=bulk)[0]

    def add_texts(self, tenant: TenantId, items: Sequence[NewText], *, bulk: bool = False) -> list[Accepted]:
        """Accept texts, all or none; one answer an item, in order. Raises InvalidInput, TooLarge."""
        return self._accept(tenant, [_text(item) for item in items], bulk=bulk)

    def add_url(self, tenant: TenantId, url: str, tags: Sequence[str] = ()) -> Accepted:
        """Accept a web page's address; a worker fetches it. Adding it again fetches it anew. Raises InvalidInput."""
        from localmind.readers.fetch import check_url

        check_url(url)
        return self._accept(tenant, [Incoming(title=url[:500], kind="url", data=None, uri=url, tags=tuple(tags))])[0]

    def replace(self, tenant: TenantId, source_id: SourceId, *, filename: str | None, data: BinaryIO) -> Accepted:
        """A new version; the old one answers until it is ready. Raises NotFound, TooLarge, InvalidInput."""
        return self._accept.version(tenant, source_id, _file(filename or "content", data, None, ()))

    def replace_text(self, tenant: TenantId, source_id: SourceId, *, text: str, title: str | None = None) -> Accepted:
        """As replace, with a text; without a title it keeps its own."""
        title = title or self._catalog.sources.get(tenant, source_id).title
        return self._accept.version(tenant, source_id, _text(NewText(title, text)))

    def reingest(self, tenant: TenantId, source_id: SourceId) -> Accepted:
        """Read, chunk and extract the latest content anew; unchanged chunks cost nothing.

        Raises NotFound, Conflict, QuotaReached, TooManyRequests.
        """
        with self._catalog.alone(tenant):
            source = self._catalog.sources.get(tenant, source_id)
            latest = self._catalog.sources.revision(tenant, source_id, self._catalog.sources.revision(tenant, source_id).latest)
            if source.status in (SourceStatus.QUEUED, SourceStatus.PROCESSING):
                raise Conflict(f"{source.title!r} is being ingested already.", hint=f"Watch job {source.job_id}.")
            self._accept.quotas.admit(tenant, size_bytes=latest.size_bytes, jobs=1)
            self._catalog.sources.add_revisions(
                [
                    {
                        "source_id": source_id,
                        "version": latest.latest + 1,
                        "tenant": tenant,
                        "content_hash": latest.content_hash,
                        "blob_key": latest.blob_key,
                        "filename": latest.filename,
                        "media_type": TEXT_MEDIA_TYPE if latest.is_text else "",
                        "size_bytes": latest.size_bytes,
                    }
                ]
            )
            job_id = self._catalog.jobs.add(tenant, [("ingest", source_id, latest.latest + 1, INTERACTIVE)])[0]
        self._wake()
        return Accepted(source_id, job_id, JobStatus.QUEUED.value)

    def extract_missing(self, tenant: TenantId, source_id: SourceId | None = None) -> list[Accepted]:
        """Ask the LLM about chunks that have nothing of its: of all sources that miss some (at most 10,000; the next call takes the
        rest), or of one, also where it was put in without an LLM. What was answered before is not asked again.

        Raises NotFound, Conflict (without an LLM too).
        """
        if not self._has_llm:
            raise Conflict("There is no LLM that could be asked.", hint="Set LLM_MODEL and LLM_BASE_URL, then start again.")
        if source_id is None:
            queued = queue_missing(self._store, tenant, self._catalog.extractions.missing(tenant, limit=MOST_MISSING))
        else:
            source = self._catalog.sources.get(tenant, source_id)
            queued = queue_missing(self._store, tenant, [(source_id, source.version)], priority=INTERACTIVE) if source.version else {}
            if not queued:
                raise Conflict(f"{source.title!r} is being ingested already.", hint=f"Watch job {source.job_id}.")
        self._wake()
        return [Accepted(source, job, JobStatus.QUEUED.value) for source, job in queued.items()]

    def delete(self, tenant: TenantId, source_id: SourceId) -> Accepted:
        """Hide the source, and those that came out of it, at once; a job clears every store. Raises NotFound."""
        with self._catalog.alone(tenant):
            self._catalog.sources.get(tenant, source_id)
            doomed = [source_id, *self._catalog.sources.children(tenant, source_id)]
            for each in doomed:
                self._catalog.jobs.ask_cancel(tenant, source_id=each)
            self._catalog.sources.hide(tenant, doomed)
            jobs = self._catalog.jobs.add(tenant, [("delete", each, 0, INTERACTIVE) for each in reversed(doomed)])
            self._catalog.audit.record(Event.DOCUMENT_DELETED, tenant, sources=[source_id])
        self._wake()
        return Accepted(source_id, jobs[-1], SourceStatus.DELETING.value)

    # --- looking at

    def list(
        self,
        tenant: TenantId,
        *,
        status: SourceStatus | None = None,
        tag: str | None = None,
        query: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ListPage[Source]:
        """Newest first. query: part of the title. Raises BadCursor."""
        return self._catalog.sources.page(tenant, status=status, tag=tag, query=query, limit=limit, cursor=cursor)

    def get(self, tenant: TenantId, source_id: SourceId) -> Source:
        """The source with what the stores hold of it: `partial` where that is less than its chunks. Raises NotFound."""
        source = self._catalog.sources.get(tenant, source_id)
        try:
            vectors = self._vectors.count(tenant, source=source_id)
            entities = self._graph.entities_of(tenant, [source_id]).get(source_id, 0)
        except Unavailable as error:
            return replace(source, notes=(*source.notes, f"{error.message} The counts are incomplete."))
        if source.status is SourceStatus.READY and vectors < source.chunks:
            note = f"{source.chunks - vectors} of {source.chunks} chunks have no vector: `localmind reconcile` mends that."
            return replace(source, vectors=vectors, entities=entities, status=SourceStatus.PARTIAL, notes=(*source.notes, note))
        return replace(source, vectors=vectors, entities=entities)

    def chunks(self, tenant: TenantId, source_id: SourceId, *, limit: int = 50, cursor: str | None = None) -> ListPage[Chunk]:
        """The visible version's chunks in reading order. Raises NotFound, BadCursor."""
        self._catalog.sources.get(tenant, source_id)
        return self._catalog.chunks.page(tenant, source_id, limit=limit, cursor=cursor)

    def document(self, tenant: TenantId, source_id: SourceId) -> Document:
        """The visible version's text, pages and headings. Raises NotFound, Conflict where nothing has been read yet."""
        revision = self._catalog.sources.revision(tenant, source_id)
        if revision.deleted or revision.visible == 0:
            self._catalog.sources.get(tenant, source_id)
            raise Conflict(f"{revision.title!r} has not been read yet.", hint="Wait for its job, or see why it failed.")
        return documents.load(self._blobs, revision)

    @contextmanager
    def content(self, tenant: TenantId, source_id: SourceId) -> Iterator[ContentFile]:
        """The visible version's original file, or the latest where none is visible. Raises NotFound."""
        source = self._catalog.sources.get(tenant, source_id)
        revision = self._catalog.sources.revision(tenant, source_id)
        if not revision.blob_key:
            raise Conflict(f"{source.title!r} has not been fetched yet.", hint="Wait for its job, or see why it failed.")
        with self._blobs.local_file(tenant, revision.blob_key) as path:
            media_type = revision.media_type or "application/octet-stream"
            yield ContentFile(path, revision.filename or source.title, media_type)


def _file(filename: str, data: BinaryIO, uri: str | None, tags: Sequence[str]) -> Incoming:
    name = safe_filename(filename)
    return Incoming(title=title_of(name), kind="file", data=data, uri=uri or None, tags=tuple(tags), filename=name)


def _text(item: NewText) -> Incoming:
    if not item.text.strip():
        raise InvalidInput(f"The text of {item.title[:80]!r} is empty.", hint="Send a text with at least one word.")
    if not is_clean(item.text):
        raise InvalidInput(f"The text of {item.title[:80]!r} holds a NUL or an incomplete character.", hint="Send the text as clean UTF-8.")
    return Incoming(
        title=item.title.strip(),
        kind=item.kind,
        data=text_data(item.text),
        uri=item.uri or None,
        tags=item.tags,
        media_type=TEXT_MEDIA_TYPE,
        titled=True,
    )
