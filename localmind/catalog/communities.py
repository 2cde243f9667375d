"""Community rows: what was found in the graph, who is in which, and whose turn it is to look again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.catalog import cursors
from localmind.catalog.chunks import batched
from localmind.catalog.database import Database
from localmind.catalog.tables import community, community_member, community_state
from localmind.errors import NotFound
from localmind.model import CentralEntity, Community, CommunityId, EntityId, ListPage, Quote, TenantId

BATCH = 5_000
"""Members of one statement, and of one transaction that other writers wait for."""


class Member(NamedTuple):
    """mentions: as they were when it was placed. community: the finest that has it; None: none."""

    entity: EntityId
    community: CommunityId | None
    mentions: int


class Kept(NamedTuple):
    """A community with what only its upkeep needs to know."""

    community: Community
    drift: int
    has_vector: bool


class Vectored(NamedTuple):
    id: CommunityId
    parent_id: CommunityId | None
    vector: bytes


class _State(NamedTuple):
    version: int
    moved: int


class CommunityTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- reading

    def page(
        self, tenant: TenantId, *, level: int | None, parent: CommunityId | None = None, limit: int, cursor: str | None
    ) -> ListPage[Community]:
        """Of one level, or of all; those mentioned most first. Raises BadCursor."""
        query = sa.select(*COLUMNS).where(community.c.tenant == tenant).order_by(community.c.mentions.desc(), community.c.id)
        if level is not None:
            query = query.where(community.c.level == level)
        if parent is not None:
            query = query.where(community.c.parent_id == parent)
        if cursor:
            mentions, after = cursors.decode(cursor, int, str)
            further = sa.and_(community.c.mentions == mentions, community.c.id > after)
            query = query.where(sa.or_(community.c.mentions < mentions, further))
        with self._db.read(tenant) as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
        items = tuple(_community(row) for row in rows[:limit])
        return ListPage(items, cursors.encode(items[-1].mentions, items[-1].id) if len(rows) > limit else None)

    def get(self, tenant: TenantId, id_: CommunityId) -> Community:
        """Raises NotFound."""
        found = self.some(tenant, [id_])
        if not found:
            raise NotFound(f"There is no community {id_!r}.", hint="GET /api/v1/graph/communities lists them.")
        return found[0]

    def some(self, tenant: TenantId, ids: Sequence[CommunityId]) -> list[Community]:
        """Those that are there, in the order asked."""
        found: dict[str, Community] = {}
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                query = sa.select(*COLUMNS).where(community.c.tenant == tenant, community.c.id.in_(batch))
                found |= {row.id: _community(row) for row in connection.execute(query)}
        return [found[id_] for id_ in ids if id_ in found]

    def kept(self, tenant: TenantId) -> list[Kept]:
        """All of them."""
        bytes_ = sa.func.length(community.c.vector).label("bytes")
        query = sa.select(*COLUMNS, community.c.drift, bytes_).where(community.c.tenant == tenant)
        with self._db.read(tenant) as connection:
            return [Kept(_community(row), row.drift, row.bytes > 0) for row in connection.execute(query)]

    def vectors(self, tenant: TenantId) -> list[Vectored]:
        """Of those that have one."""
        query = sa.select(community.c.id, community.c.parent_id, community.c.vector).where(community.c.tenant == tenant)
        with self._db.read(tenant) as connection:
            rows = connection.execute(query.order_by(community.c.id)).all()
        return [Vectored(row.id, row.parent_id, bytes(row.vector)) for row in rows if row.vector]

    def vectors_of(self, tenant: TenantId, ids: Sequence[CommunityId]) -> dict[CommunityId, bytes]:
        """Of those of these that have one."""
        found: dict[CommunityId, bytes] = {}
        with self._db.read(tenant) as connection:
            for batch in batched(ids):
                query = sa.select(community.c.id, community.c.vector).where(community.c.tenant == tenant, community.c.id.in_(batch))
                found |= {row.id: bytes(row.vector) for row in connection.execute(query) if row.vector}
        return found

    def members(self, tenant: TenantId) -> Iterator[Sequence[Member]]:
        """Every entity that was looked at, in batches."""
        after = ""
        while True:
            query = (
                sa.select(community_member.c.entity_id, community_member.c.community_id, community_member.c.mentions)
                .where(community_member.c.tenant == tenant, community_member.c.entity_id > after)
                .order_by(community_member.c.entity_id)
                .limit(BATCH)
            )
            with self._db.read(tenant) as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            after = rows[-1].entity_id
            yield [Member(*row) for row in rows]

    def version(self, tenant: TenantId) -> int:
        """Another one means that something changed; 0: never looked."""
        return self._state(tenant).version

    def moved(self, tenant: TenantId) -> int:
        """Entities that changed since all communities were last found anew."""
        return self._state(tenant).moved

    def _state(self, tenant: TenantId) -> _State:
        query = sa.select(community_state.c.version, community_state.c.moved).where(community_state.c.tenant == tenant)
        with self._db.read(tenant) as connection:
            row = connection.execute(query).one_or_none()
        return _State(0, 0) if row is None else _State(*row)

    # --- whose turn it is

    def take(self, tenant: TenantId, owner: str, *, lease_s: float) -> bool:
        """Whether this one may look now, or may go on: nobody else of the fleet does until it releases, or its lease is over."""
        until = self._db.now() + lease_s
        insert = self._db.insert(community_state).values(tenant=tenant, version=0, moved=0, owner=owner, lease_until=until)
        free = sa.or_(community_state.c.owner.is_(None), community_state.c.owner == owner, community_state.c.lease_until < self._db.now())
        with self._db.write(tenant) as connection:
            changed = {"owner": owner, "lease_until": until}
            taken = connection.execute(
                insert.on_conflict_do_update(index_elements=["tenant"], set_=changed, where=free).returning(community_state.c.tenant)
            )
            return taken.one_or_none() is not None

    def release(self, tenant: TenantId, owner: str) -> None:
        mine = sa.and_(community_state.c.tenant == tenant, community_state.c.owner == owner)
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(community_state).where(mine).values(owner=None))

    # --- writing

    def put(self, tenant: TenantId, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert communities or replace them: each with every column but tenant and updated_at."""
        if not rows:
            return
        now = time.time()
        insert = self._db.insert(community)
        columns = {column.name: insert.excluded[column.name] for column in community.columns if column.name not in ("id", "tenant")}
        with self._db.write(tenant) as connection:
            statement = insert.on_conflict_do_update(index_elements=["id"], set_=columns)
            connection.execute(statement, [{**row, "tenant": tenant, "updated_at": now} for row in rows])

    def place(self, tenant: TenantId, members: Sequence[Member]) -> None:
        """Insert members or move them."""
        insert = self._db.insert(community_member)
        columns = {"community_id": insert.excluded.community_id, "mentions": insert.excluded.mentions}
        statement = insert.on_conflict_do_update(index_elements=["tenant", "entity_id"], set_=columns)
        for batch in batched(members, BATCH):
            values = [{"tenant": tenant, "entity_id": entity, "community_id": place, "mentions": count} for entity, place, count in batch]
            with self._db.write(tenant) as connection:
                connection.execute(statement, values)

    def forget_members(self, tenant: TenantId, entities: Sequence[EntityId]) -> None:
        for batch in batched(entities):
            gone = sa.delete(community_member).where(community_member.c.tenant == tenant, community_member.c.entity_id.in_(batch))
            with self._db.write(tenant) as connection:
                connection.execute(gone)

    def forget(self, tenant: TenantId, ids: Sequence[CommunityId]) -> None:
        for batch in batched(ids):
            with self._db.write(tenant) as connection:
                connection.execute(sa.delete(community).where(community.c.tenant == tenant, community.c.id.in_(batch)))

    def settle(self, tenant: TenantId, *, moved: int) -> None:
        """All is written: whoever keeps something of it looks again."""
        with self._db.write(tenant) as connection:
            mine = sa.update(community_state).where(community_state.c.tenant == tenant)
            connection.execute(mine.values(version=community_state.c.version + 1, moved=moved))

    def forget_vectors(self, tenant: TenantId) -> None:
        """They were another model's: the next look makes them anew."""
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(community).where(community.c.tenant == tenant).values(vector=b""))

    def clear(self, tenant: TenantId) -> None:
        """So that the next look finds all anew."""
        with self._db.write(tenant) as connection:
            connection.execute(sa.delete(community_member).where(community_member.c.tenant == tenant))


COLUMNS = tuple(column for column in community.columns if column.name not in ("vector", "drift", "tenant"))


def _community(row: Any) -> Community:
    return Community(
        id=row.id,
        level=row.level,
        parent_id=row.parent_id,
        size=row.size,
        mentions=row.mentions,
        title=row.title,
        summary=row.summary,
        entities=tuple(CentralEntity(*each) for each in row.entities),
        sources=tuple(Quote(*each) for each in row.sources),
        made_by=row.made_by,
        updated_at=datetime.fromtimestamp(row.updated_at, UTC),
    )
