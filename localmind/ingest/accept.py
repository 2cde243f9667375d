"""Takes documents in: decides what each is (new, a new version, a duplicate) and commits it with its job, or nothing."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

from localmind.accounts.acting import current
from localmind.catalog.audit import IDS_A_ROW, Event
from localmind.catalog.chunks import batched
from localmind.catalog.jobs import BULK, INTERACTIVE
from localmind.catalog.sources import Revision
from localmind.errors import InvalidInput
from localmind.ids import random_id, stable_id
from localmind.ingest.store import Store
from localmind.limits.quotas import Quotas
from localmind.limits.usage import UsageMeter
from localmind.model import Accepted, BlobKey, JobStatus, SourceId, SourceStatus, TenantId
from localmind.operations import tracing

MAX_NAME, MAX_TITLE, MAX_URI, MAX_TAG, MAX_TAGS = 255, 500, 2000, 100, 50
"""Characters of a name, a title, a uri (its bytes: PostgreSQL's indexes take 2,700) and a tag; tags of a source."""

STORING = 8
"""Files of one call that are stored beside each other."""

T = TypeVar("T")
R = TypeVar("R")

UNFETCHED = BlobKey("")
"""Stands for the content of a URL that a worker has yet to fetch."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document about to be accepted. data: its content, or None for what is fetched later.

    identity: what makes two documents without a uri the same one; the content's hash, with the title for texts.
    """

    title: str
    kind: str
    data: BinaryIO | None
    uri: str | None = None
    tags: tuple[str, ...] = ()
    filename: str | None = None
    media_type: str = ""
    parent_id: SourceId | None = None
    titled: bool = False
    """The title was given, rather than made from a file's name."""


@dataclass(frozen=True, slots=True)
class _Stored:
    incoming: Incoming
    blob_key: BlobKey
    size_bytes: int
    content_hash: str


class Accept:
    def __init__(self, store: Store, *, max_bytes: int, wake: Callable[[], None], quotas: Quotas, usage: UsageMeter) -> None:
        self._catalog, self._blobs, self._gate = store.catalog, store.blobs, store.gate
        self._max_bytes, self._wake = max_bytes, wake
        self.quotas, self._usage = quotas, usage

    def __call__(self, tenant: TenantId, items: Sequence[Incoming], *, bulk: bool = False) -> list[Accepted]:
        """Commit all or nothing; one answer an item, in order.

        Raises TooLarge, InvalidInput, DiskFull, QuotaReached, TooManyRequests.
        """
        for item in items:  # all of them first: what is refused leaves no blob behind
            check(item)
        self.quotas.check_room(tenant)
        with self._gate.shared():
            stored = beside_each_other(partial(self._store, tenant), items)
            with self._catalog.alone(tenant):
                answers = self._commit(tenant, stored, BULK if bulk else INTERACTIVE)
                self._keep_blobs(tenant, stored)
        self._wake()
        return answers

    def version(self, tenant: TenantId, source_id: SourceId, incoming: Incoming) -> Accepted:
        """New content for a source that is there. Raises NotFound, TooLarge, QuotaReached, TooManyRequests."""
        self._catalog.sources.get(tenant, source_id)
        check(incoming)
        self.quotas.check_room(tenant)
        with self._gate.shared():
            stored = self._store(tenant, incoming)
            with self._catalog.alone(tenant):
                answer = self._commit_version(tenant, source_id, stored)
                self._keep_blobs(tenant, [stored])
        self._wake()
        return answer

    def _commit_version(self, tenant: TenantId, source_id: SourceId, stored: _Stored) -> Accepted:
        incoming = stored.incoming
        latest = self._catalog.sources.revision(tenant, source_id).latest
        current = self._catalog.sources.revision(tenant, source_id, latest)
        if current.content_hash == stored.content_hash and (not incoming.titled or incoming.title == current.title):
            return self._duplicate(tenant, current)
        if incoming.titled and incoming.title != current.title:
            self._catalog.sources.update(tenant, source_id, title=incoming.title)
        self.count(tenant, stored.size_bytes, jobs=1)
        return self._queue(tenant, [self._next_version(tenant, current, stored)], INTERACTIVE)[0]

    def _keep_blobs(self, tenant: TenantId, stored: Sequence[_Stored]) -> None:
        """Inside the commit: a delete may have removed a blob since we stored it, as the last one that needed it."""

        def keep(item: _Stored) -> None:
            if item.incoming.data is not None and not self._blobs.exists(tenant, item.blob_key):
                item.incoming.data.seek(0)
                self._blobs.put(tenant, item.incoming.data)

        beside_each_other(keep, stored)

    def _store(self, tenant: TenantId, incoming: Incoming) -> _Stored:
        if incoming.data is None:
            return _Stored(incoming, UNFETCHED, 0, "")
        key, size = self._blobs.put(tenant, incoming.data, max_bytes=self.quotas.most_upload_bytes(tenant, self._max_bytes))
        # Two notes with one text and two titles are two notes; two files with one content are one, whatever their names.
        content_hash = stable_id("titled", incoming.title, key) if incoming.titled else key
        return _Stored(incoming, key, size, content_hash)

    def _commit(self, tenant: TenantId, stored: Sequence[_Stored], priority: int) -> list[Accepted]:
        known = self._catalog.sources.latest(
            tenant,
            uris=[item.incoming.uri for item in stored if item.incoming.uri],
            hashes=[item.content_hash for item in stored if item.content_hash and item.incoming.kind != "part"],
        )
        by_uri = {revision.uri: revision for revision in known if revision.uri}
        by_hash = {revision.content_hash: revision for revision in known if revision.content_hash}
        answers: list[Accepted | int] = []  # an int: the place in `fresh` of one that is new, or a repetition of it
        fresh: list[dict[str, Any]] = []
        placed: dict[str, int] = {}
        new_sources: list[dict[str, Any]] = []
        for item in stored:
            same = by_uri.get(item.incoming.uri) if item.incoming.uri else None
            identity = item.incoming.uri or item.content_hash
            if same is None and item.content_hash and item.incoming.kind != "part":
                same = by_hash.get(item.content_hash)
                identity = item.content_hash
            if same is not None and (same.content_hash == item.content_hash != ""):
                self._adopt(tenant, same, item)
                answers.append(self._duplicate(tenant, same))
            elif identity in placed:
                answers.append(placed[identity])
            else:
                placed[identity] = placed[item.incoming.uri or identity] = len(fresh)
                answers.append(len(fresh))
                if same is None:
                    new_sources.append(_source_row(tenant, item))
                    fresh.append(_revision_row(tenant, new_sources[-1]["id"], 1, item))
                else:
                    fresh.append(self._next_version(tenant, same, item))
        if fresh:
            size_bytes = sum(row["size_bytes"] for row in fresh)
            is_part = all(item.incoming.kind == "part" for item in stored)  # its container was let in, and is one job
            self.count(tenant, size_bytes, documents=len(fresh), sources=len(new_sources), jobs=0 if is_part else len(fresh))
        if new_sources:
            self._catalog.sources.add(new_sources)
        queued = self._queue(tenant, fresh, priority) if fresh else []
        seen: set[int] = set()
        result: list[Accepted] = []
        for answer in answers:
            if isinstance(answer, Accepted):
                result.append(answer)
                continue
            first = queued[answer]
            result.append(first if answer not in seen else Accepted(first.source_id, first.job_id, first.status, duplicate=True))
            seen.add(answer)
        return result

    def _next_version(self, tenant: TenantId, current: Revision, item: _Stored) -> dict[str, Any]:
        """A revision after the current one; a job that still works on that one is asked to stop."""
        self._catalog.jobs.ask_cancel(tenant, source_id=current.source_id)
        if item.incoming.tags:
            self._catalog.sources.set_tags(tenant, current.source_id, list(dict.fromkeys(item.incoming.tags)))
        if item.incoming.parent_id is not None:
            self._catalog.sources.update(tenant, current.source_id, parent_id=item.incoming.parent_id)
        return _revision_row(tenant, current.source_id, current.latest + 1, item)

    def _queue(self, tenant: TenantId, revisions: Sequence[dict[str, Any]], priority: int) -> list[Accepted]:
        self._catalog.sources.add_revisions(revisions)
        jobs = self._catalog.jobs.add(tenant, [("ingest", row["source_id"], row["version"], priority) for row in revisions])
        for ids in batched([row["source_id"] for row in revisions], IDS_A_ROW):
            self._catalog.audit.record(Event.DOCUMENT_INGESTED, tenant, sources=list(ids))
        return [Accepted(row["source_id"], job, JobStatus.QUEUED.value) for row, job in zip(revisions, jobs, strict=True)]

    def count(self, tenant: TenantId, size_bytes: int, *, documents: int = 1, sources: int = 0, jobs: int = 0) -> None:
        """Inside the commit: let so much in, or raise, and write down that it came. sources: documents that are new."""
        self.quotas.admit(tenant, documents=sources, size_bytes=size_bytes, jobs=jobs)
        self._usage.write(tenant, documents=documents, size_bytes=size_bytes)

    def _adopt(self, tenant: TenantId, same: Revision, item: _Stored) -> None:
        if item.incoming.uri and same.uri is None:
            self._catalog.sources.update(tenant, same.source_id, uri=item.incoming.uri)

    def _duplicate(self, tenant: TenantId, same: Revision) -> Accepted:
        """The source is there already; if its ingest went wrong, it gets another try."""
        source = self._catalog.sources.get(tenant, same.source_id)
        if source.status is SourceStatus.FAILED and source.job_id is not None:
            self._catalog.jobs.requeue(tenant, source.job_id)
            return Accepted(source.id, source.job_id, JobStatus.QUEUED.value, duplicate=True)
        return Accepted(source.id, source.job_id, source.status.value, duplicate=True)


def beside_each_other(action: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results in order: each call waits for a disk or a server."""
    if len(items) < 2:
        return [action(item) for item in items]
    with ThreadPoolExecutor(min(STORING, len(items))) as pool:
        return list(pool.map(tracing.carried(action), items))


def check(incoming: Incoming) -> None:
    """Raises InvalidInput for an empty file, and for words that the catalog or a page could not carry."""
    for name, value, limit in (("title", incoming.title, MAX_TITLE), ("uri", incoming.uri or "", MAX_URI)):
        length = len(value.encode(errors="replace")) if name == "uri" else len(value)
        if length > limit:
            raise InvalidInput(f"The {name} has {length} characters; {limit} are the most.", hint=f"Shorten the {name}.")
        if not is_clean(value):
            raise InvalidInput(f"The {name} holds a NUL or an incomplete character.", hint=f"Send the {name} as clean UTF-8.")
    if not incoming.title.strip():
        raise InvalidInput("The title is empty.", hint="Give the document a title.")
    if len(incoming.tags) > MAX_TAGS:
        raise InvalidInput(f"{len(incoming.tags)} tags are too many; {MAX_TAGS} are the most.", hint="Send fewer tags.")
    for tag in incoming.tags:
        if not tag or len(tag) > MAX_TAG or not is_clean(tag):
            raise InvalidInput(f"The tag {tag[:40]!r} can't be used.", hint=f"A tag has 1 to {MAX_TAG} characters.")
    if incoming.data is not None:
        if not incoming.data.read(1):
            raise InvalidInput(f"{incoming.filename or incoming.title!r} is empty.", hint="Send a file with content.")
        incoming.data.seek(0)


def is_clean(text: str) -> bool:
    """Whether the text can be stored and sent as UTF-8."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def safe_filename(name: str) -> str:
    """The last part of a client's file name, without control characters. Raises InvalidInput where nothing is left or it is too long."""
    last = PurePosixPath(name.replace("\\", "/")).name
    last = "".join(char for char in unicodedata.normalize("NFC", last) if unicodedata.category(char) not in ("Cc", "Cs", "Cf")).strip(" .")
    if not last:
        raise InvalidInput(f"The file name {name[:40]!r} can't be used.", hint="Send the file with a name such as report.pdf.")
    if len(last) > MAX_NAME:
        raise InvalidInput(f"The file name has {len(last)} characters; {MAX_NAME} are the most.", hint="Shorten the name.")
    return last


def title_of(filename: str) -> str:
    """A title made from a file's name: without its ending, underscores as spaces."""
    stem = re.sub(r"(?<=.)\.\w{1,8}$", "", filename)
    return re.sub(r"[\s_]+", " ", stem).strip() or filename


def text_data(text: str) -> BinaryIO:
    return io.BytesIO(text.encode("utf-8", "replace"))


def _source_row(tenant: TenantId, item: _Stored) -> dict[str, Any]:
    incoming = item.incoming
    return {
        "id": random_id(),
        "tenant": tenant,
        "uri": incoming.uri,
        "kind": incoming.kind,
        "title": incoming.title,
        "tags": list(dict.fromkeys(incoming.tags)),
        "parent_id": incoming.parent_id,
        "added_by": current().user_id,
    }


def _revision_row(tenant: TenantId, source_id: SourceId, version: int, item: _Stored) -> dict[str, Any]:
    return {
        "source_id": source_id,
        "version": version,
        "tenant": tenant,
        "content_hash": item.content_hash,
        "blob_key": item.blob_key,
        "filename": item.incoming.filename,
        "media_type": item.incoming.media_type,
        "size_bytes": item.size_bytes,
    }
