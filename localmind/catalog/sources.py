"""Source and revision rows: what was put in, which version search sees, and what state a person is told."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from localmind.catalog import cursors
from localmind.catalog.chunks import batched
from localmind.catalog.database import Database
from localmind.catalog.tables import chunk, job, revision, source, source_tag
from localmind.errors import NotFound
from localmind.model import BlobKey, JobStatus, ListPage, Source, SourceId, SourceStatus, TenantId

TEXT_MEDIA_TYPE = "text/markdown"
"""What a text that a client sends is taken for: Markdown is plain text where it has no marks."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One content of a source, with what the source says beside it."""

    tenant: TenantId
    source_id: SourceId
    version: int
    visible: int
    """The version that search sees now; 0: none."""
    latest: int
    uri: str | None
    kind: str
    title: str
    blob_key: BlobKey
    content_hash: str
    filename: str | None
    media_type: str
    size_bytes: int
    document_key: BlobKey | None
    chunks: int
    deleted: bool

    @property
    def is_text(self) -> bool:
        """Sent as a text: the blob is the text itself, and no reader has to look at it."""
        return self.media_type == TEXT_MEDIA_TYPE and self.filename is None


class SourceTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- reading

    def get(self, tenant: TenantId, source_id: SourceId) -> Source:
        """Raises NotFound, also for one that is being deleted."""
        with self._db.read(tenant) as connection:
            row = connection.execute(LISTED.where(source.c.tenant == tenant, source.c.id == source_id)).one_or_none()
        if row is None:
            raise NotFound(f"There is no source {source_id!r}.", hint="GET /api/v1/sources lists them.")
        return _source(row)

    def page(
        self, tenant: TenantId, *, status: SourceStatus | None, tag: str | None, query: str | None, limit: int, cursor: str | None
    ) -> ListPage[Source]:
        """Newest first. query: part of the title. Raises BadCursor."""
        wanted = LISTED.where(source.c.tenant == tenant).order_by(source.c.id.desc()).limit(limit + 1)
        if status is not None:
            wanted = wanted.where(STATUS.__eq__(status.value))
        if tag is not None:
            wanted = wanted.where(
                source.c.id.in_(sa.select(source_tag.c.source_id).where(source_tag.c.tenant == tenant, source_tag.c.tag == tag))
            )
        if query:
            wanted = wanted.where(source.c.title.icontains(query, autoescape=True))
        if cursor:
            wanted = wanted.where(source.c.id < cursors.decode(cursor, str)[0])
        with self._db.read(tenant) as connection:
            rows = connection.execute(wanted).all()
        items = tuple(_source(row) for row in rows[:limit])
        return ListPage(items, cursors.encode(items[-1].id) if len(rows) > limit else None)

    def ids_with(
        self, tenant: TenantId, source_ids: Collection[SourceId] | None = None, tags: Collection[str] | None = None
    ) -> frozenset[SourceId]:
        """Sources of the tenant that are among source_ids (if given) and have one of the tags (if given)."""
        alive = sa.select(source.c.id).where(source.c.tenant == tenant, source.c.deleted_at.is_(None))
        if tags is not None:
            tagged = sa.select(source_tag.c.source_id).where(source_tag.c.tenant == tenant, source_tag.c.tag.in_(list(tags)))
            alive = alive.where(source.c.id.in_(tagged))
        with self._db.read(tenant) as connection:
            if source_ids is None:
                return frozenset(connection.execute(alive).scalars())
            found: set[SourceId] = set()
            for batch in batched(source_ids):
                found |= set(connection.execute(alive.where(source.c.id.in_(batch))).scalars())
        return frozenset(found)

    def revision(self, tenant: TenantId, source_id: SourceId, version: int | None = None) -> Revision:
        """A version's content; None: the visible one, or the latest where none is visible yet. Raises NotFound."""
        wanted = REVISION.where(source.c.tenant == tenant, source.c.id == source_id)
        wanted = wanted.where(revision.c.version == (SHOWN if version is None else version))
        with self._db.read(tenant) as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            raise NotFound(f"There is no source {source_id!r}.", hint="GET /api/v1/sources lists them.")
        return _revision(row)

    def revisions(self, versions: Collection[tuple[SourceId, int]]) -> dict[tuple[SourceId, int], Revision]:
        """Those of the versions that are there."""
        wanted = REVISION.where(sa.tuple_(revision.c.source_id, revision.c.version).in_(list(versions)))
        with self._db.read() as connection:
            return {(SourceId(row.source_id), int(row.version)): _revision(row) for row in connection.execute(wanted)}

    def latest(self, tenant: TenantId, *, uris: Collection[str] = (), hashes: Collection[str] = ()) -> list[Revision]:
        """The latest revision of each source that has one of the uris or whose latest content is one of the hashes."""
        current = REVISION.where(source.c.tenant == tenant, revision.c.version == source.c.latest, source.c.deleted_at.is_(None))
        found: list[Revision] = []
        with self._db.read(tenant) as connection:
            for batch in batched(uris):
                found += [_revision(row) for row in connection.execute(current.where(source.c.uri.in_(batch)))]
            for batch in batched(hashes):
                same = current.where(revision.c.tenant == tenant, revision.c.content_hash.in_(batch), source.c.kind != "part")
                found += [_revision(row) for row in connection.execute(same)]
        return found

    def children(self, tenant: TenantId, parent: SourceId) -> list[SourceId]:
        with self._db.read(tenant) as connection:
            return list(connection.execute(sa.select(source.c.id).where(source.c.tenant == tenant, source.c.parent_id == parent)).scalars())

    def visible(self, tenant: TenantId | None = None) -> list[Revision]:
        """The visible revision of every source: to rebuild and reconcile."""
        wanted = REVISION.where(revision.c.version == source.c.version, source.c.deleted_at.is_(None)).order_by(source.c.pk)
        if tenant is not None:
            wanted = wanted.where(source.c.tenant == tenant)
        with self._db.read(tenant) as connection:
            return [_revision(row) for row in connection.execute(wanted)]

    def ids(self, tenant: TenantId) -> set[SourceId]:
        """Every source, those being deleted too."""
        with self._db.read(tenant) as connection:
            return set(connection.execute(sa.select(source.c.id).where(source.c.tenant == tenant)).scalars())

    def hidden(self, tenant: TenantId) -> set[SourceId]:
        """Sources that are being deleted."""
        with self._db.read(tenant) as connection:
            return set(
                connection.execute(sa.select(source.c.id).where(source.c.tenant == tenant, source.c.deleted_at.is_not(None))).scalars()
            )

    def tenants(self) -> set[TenantId]:
        with self._db.read() as connection:
            return set(connection.execute(sa.select(source.c.tenant).distinct()).scalars())

    def count(self, tenant: TenantId) -> int:
        query = sa.select(sa.func.count()).where(source.c.tenant == tenant, source.c.deleted_at.is_(None))
        with self._db.read(tenant) as connection:
            return int(connection.execute(query).scalar_one())

    def blob_keys(self, tenant: TenantId) -> set[BlobKey]:
        """Blobs that a revision needs."""
        found: set[BlobKey] = set()
        with self._db.read(tenant) as connection:
            for row in connection.execute(sa.select(revision.c.blob_key, revision.c.document_key).where(revision.c.tenant == tenant)):
                found |= {key for key in row if key is not None}
        return found

    def needed_blobs(self, tenant: TenantId, keys: Collection[BlobKey]) -> set[BlobKey]:
        """Those of the keys that a revision needs."""
        found: set[BlobKey] = set()
        with self._db.read(tenant) as connection:
            for column in (revision.c.blob_key, revision.c.document_key):
                used = sa.select(column).where(revision.c.tenant == tenant, column.in_(keys))
                found |= set(connection.execute(used).scalars())
        return found

    # --- writing

    def add(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Insert sources: id, tenant, uri, kind, title, tags, parent_id each."""
        now = time.time()
        rows = [{**value, "version": 0, "latest": 0, "created_at": now, "updated_at": now} for value in values]
        tags = [{"tenant": v["tenant"], "tag": tag, "source_id": v["id"]} for v in values for tag in v["tags"]]
        with self._db.write() as connection:
            connection.execute(sa.insert(source), rows)
            if tags:
                connection.execute(sa.insert(source_tag), tags)

    def add_revisions(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Insert revisions (every column without a default here) and make each its source's latest."""
        empty: dict[str, Any] = {"chars": 0, "chunks": 0, "notes": [], "partial": False, "missing": 0, "entities": 0}
        rows = [{**empty, **value, "created_at": time.time()} for value in values]
        latest = [{"b_id": value["source_id"], "b_latest": value["version"], "b_now": time.time()} for value in values]
        with self._db.write() as connection:
            connection.execute(sa.insert(revision), rows)
            connection.execute(
                sa.update(source)
                .where(source.c.id == sa.bindparam("b_id"))
                .values(latest=sa.bindparam("b_latest"), updated_at=sa.bindparam("b_now")),
                latest,
            )

    def update(self, tenant: TenantId, source_id: SourceId, **values: Any) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(source).where(source.c.tenant == tenant, source.c.id == source_id).values(**values))

    def set_tags(self, tenant: TenantId, source_id: SourceId, tags: Sequence[str]) -> None:
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(source_tag).where(source_tag.c.tenant == tenant, source_tag.c.source_id == source_id))
            if tags:
                connection.execute(sa.insert(source_tag), [{"tenant": tenant, "tag": tag, "source_id": source_id} for tag in tags])
            connection.execute(sa.update(source).where(source.c.tenant == tenant, source.c.id == source_id).values(tags=list(tags)))

    def update_revision(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Each row: source_id, version and the columns to set (the same ones in every row)."""
        if not rows:
            return
        columns = [name for name in rows[0] if name not in ("source_id", "version")]
        statement = (
            sa.update(revision)
            .where(revision.c.source_id == sa.bindparam("b_source_id"), revision.c.version == sa.bindparam("b_version"))
            .values({name: sa.bindparam(f"b_{name}") for name in columns})
        )
        with self._db.write() as connection:
            connection.execute(statement, [{f"b_{name}": value for name, value in row.items()} for row in rows])

    def show(self, rows: Sequence[tuple[SourceId, int]]) -> None:
        """Make a version the one that search sees: the one step in which a document appears."""
        if not rows:
            return
        statement = (
            sa.update(source)
            .where(source.c.id == sa.bindparam("b_id"), source.c.version <= sa.bindparam("b_version"))
            .values(version=sa.bindparam("b_version"), updated_at=sa.bindparam("b_now"))
        )
        with self._db.write() as connection:
            connection.execute(statement, [{"b_id": key, "b_version": version, "b_now": time.time()} for key, version in rows])

    def hide(self, tenant: TenantId, ids: Sequence[SourceId]) -> None:
        """Take sources out of everybody's sight at once; their rows go when the delete's job has cleaned up. Frees their uris."""
        with self._db.write(tenant) as connection:
            connection.execute(
                sa.update(source).where(source.c.tenant == tenant, source.c.id.in_(ids)).values(deleted_at=time.time(), uri=None)
            )

    def drop_old_revisions(self, tenant: TenantId, source_id: SourceId, *, keep_from: int) -> set[BlobKey]:
        """Forget versions before keep_from; returns blobs that nothing needs any more."""
        return self._drop(tenant, revision.c.source_id == source_id, revision.c.version < keep_from)

    def drop(self, tenant: TenantId, source_id: SourceId) -> set[BlobKey]:
        """Remove the source's rows but its chunks; returns blobs that nothing needs any more."""
        with self._db.write(tenant) as connection:
            orphans = self._drop(tenant, revision.c.source_id == source_id)
            connection.execute(sa.delete(source_tag).where(source_tag.c.tenant == tenant, source_tag.c.source_id == source_id))
            connection.execute(sa.delete(source).where(source.c.tenant == tenant, source.c.id == source_id))
            connection.execute(sa.delete(job).where(job.c.tenant == tenant, job.c.source_id == source_id, job.c.kind != "delete"))
        return orphans

    def _drop(self, tenant: TenantId, *which: sa.ColumnElement[bool]) -> set[BlobKey]:
        with self._db.write(tenant) as connection:
            rows = connection.execute(
                sa.select(revision.c.blob_key, revision.c.document_key).where(revision.c.tenant == tenant, *which)
            ).all()
            connection.execute(sa.delete(revision).where(revision.c.tenant == tenant, *which))
            candidates = {key for row in rows for key in row if key is not None}
            return candidates - self.needed_blobs(tenant, candidates)


# --- statements

LATEST_JOB = (
    sa.select(sa.func.max(job.c.id))
    .where(job.c.tenant == source.c.tenant, job.c.source_id == source.c.id)
    .correlate(source)
    .scalar_subquery()
)
SHOWN = sa.case((source.c.version > 0, source.c.version), else_=source.c.latest)
"""The version whose facts a person is shown."""
OPEN_JOB = (JobStatus.QUEUED, JobStatus.RUNNING)
SHOWN_REVISION = sa.and_(revision.c.source_id == source.c.id, revision.c.version == source.c.version)
CHUNKS = (
    sa.select(sa.func.count())
    .where(chunk.c.source_id == source.c.id, chunk.c.since <= source.c.version)
    .correlate(source)
    .scalar_subquery()
)
STATUS = sa.case(
    (
        source.c.version == 0,
        sa.case(
            (job.c.status == JobStatus.QUEUED, SourceStatus.QUEUED),
            (job.c.status == JobStatus.RUNNING, SourceStatus.PROCESSING),
            else_=SourceStatus.FAILED,
        ),
    ),
    (job.c.status == JobStatus.FAILED, SourceStatus.PARTIAL),  # an update failed: the version before answers
    (revision.c.chunks > CHUNKS, SourceStatus.PARTIAL),
    (revision.c.missing > 0, SourceStatus.PARTIAL),
    (revision.c.partial, SourceStatus.PARTIAL),
    else_=SourceStatus.READY,
)
_child = source.alias("child")
PARTS = (
    sa.select(sa.func.count())
    .where(_child.c.tenant == source.c.tenant, _child.c.parent_id == source.c.id, _child.c.deleted_at.is_(None))
    .correlate(source)
    .scalar_subquery()
)
LISTED = (
    sa.select(
        source,
        revision.c.filename,
        revision.c.media_type,
        revision.c.size_bytes,
        revision.c.pages,
        revision.c.chars,
        revision.c.notes,
        revision.c.entities,
        job.c.id.label("job_id"),
        job.c.error,
        CHUNKS.label("chunks"),
        PARTS.label("parts"),
        STATUS.label("status"),
    )
    .join(revision, sa.and_(revision.c.source_id == source.c.id, revision.c.version == SHOWN))
    .outerjoin(job, job.c.id == LATEST_JOB)
    .where(source.c.deleted_at.is_(None))
)
REVISION = sa.select(
    revision,
    source.c.version.label("visible"),
    source.c.latest,
    source.c.uri,
    source.c.kind,
    source.c.title,
    source.c.deleted_at,
).join(source, source.c.id == revision.c.source_id)


def _source(row: Any) -> Source:
    return Source(
        id=row.id,
        tenant=row.tenant,
        title=row.title,
        kind=row.kind,
        media_type=row.media_type,
        status=SourceStatus(row.status),
        version=row.version,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        updated_at=datetime.fromtimestamp(row.updated_at, UTC),
        uri=row.uri,
        filename=row.filename,
        tags=tuple(row.tags),
        parent_id=row.parent_id,
        size_bytes=row.size_bytes,
        pages=row.pages,
        chars=row.chars,
        chunks=row.chunks,
        entities=row.entities,
        parts=row.parts,
        job_id=row.job_id,
        error=row.error,
        notes=tuple(row.notes),
    )


def _revision(row: Any) -> Revision:
    return Revision(
        tenant=row.tenant,
        source_id=row.source_id,
        version=row.version,
        visible=row.visible,
        latest=row.latest,
        uri=row.uri,
        kind=row.kind,
        title=row.title,
        blob_key=row.blob_key,
        content_hash=row.content_hash,
        filename=row.filename,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        document_key=row.document_key,
        chunks=row.chunks,
        deleted=row.deleted_at is not None,
    )
