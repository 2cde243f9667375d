"""Names that mean the same, in the catalog: which were merged into which, why and by whom, and what must never be.

Merges are a forest over entity keys: a row of `alias` is an edge to what a name was merged into, and keeps the tree's root, the
key of the entity. So a merge can be undone by taking out its edge, and the rest stands as it stood.
Who writes names into the graph shares the tenant's lock until the commit, who records a merge holds it alone: a record is seen by
every writer after it, and finds in the graph what every writer before it wrote.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.catalog.database import Database
from localmind.catalog.tables import alias, apart, definition, spelling, unsettled
from localmind.graph.forest import MACHINE, Alias, Forest, Key, Merge
from localmind.graph.merging import Canonical, Names
from localmind.graph.statements import rows
from localmind.model import ChunkId, TenantId

MOST_NAMED = 5_000
"""Entities that are looked for by an alias, in a graph that doesn't lie beside the aliases: a letter or two stands in very many."""


class Meant(NamedTuple):
    """What a chunk says an abbreviation means."""

    key: Key
    name: str
    into_key: Key
    into_name: str


class Noted(NamedTuple):
    """What of a chunk is kept beside the graph. spelled: each key that is an alias, and what it means."""

    spelled: Mapping[Key, Key]
    meant: Collection[Meant]


_CHUNKS = "SELECT id, pk FROM chunk WHERE tenant = :tenant AND id IN TEXTS(:ids)"
_FORGET_SPELLINGS = "DELETE FROM spelling WHERE chunk_pk IN NUMBERS(:pks) RETURNING key"
_FORGET_DEFINITIONS = "DELETE FROM definition WHERE chunk_pk IN NUMBERS(:pks) RETURNING key, into_key"
_OF_KEYS = "SELECT a.* FROM TEXTS(:keys) AS asked CROSS JOIN alias AS a WHERE a.tenant = :tenant AND a.key = asked.value"
_OF_ROOTS = """
SELECT a.* FROM TEXTS(:keys) AS asked CROSS JOIN alias AS a WHERE a.tenant = :tenant AND a.root_key = asked.value ORDER BY a.key"""
_NAMED = "SELECT DISTINCT root_key FROM alias WHERE tenant = :tenant AND key LIKE :pattern ORDER BY root_key LIMIT :limit"
_IN_USE = """
SELECT a.* FROM alias AS a WHERE a.tenant = :tenant AND a.root_key = :root AND EXISTS (
    SELECT 1 FROM spelling AS s WHERE s.tenant = a.tenant AND s.key = a.key) ORDER BY a.name LIMIT :limit"""
_DEFINITIONS = """
SELECT d.key, d.name, d.into_key, MIN(d.into_name) AS into_name, COUNT(*) AS chunks
FROM TEXTS(:keys) AS asked CROSS JOIN definition AS d WHERE d.tenant = :tenant AND d.key = asked.value
GROUP BY d.key, d.name, d.into_key ORDER BY COUNT(*) DESC, d.into_key, d.name"""
_STALE = """
SELECT DISTINCT s.key, c.id FROM TEXTS(:keys) AS asked CROSS JOIN spelling AS s
LEFT JOIN alias AS a ON a.tenant = s.tenant AND a.key = s.key JOIN chunk AS c ON c.pk = s.chunk_pk
WHERE s.tenant = :tenant AND s.key = asked.value AND s.root_key <> COALESCE(a.root_key, s.key)"""
_ALL_STALE = """
SELECT DISTINCT s.key FROM spelling AS s LEFT JOIN alias AS a ON a.tenant = s.tenant AND a.key = s.key
WHERE s.tenant = :tenant AND s.root_key <> COALESCE(a.root_key, s.key) ORDER BY s.key"""
_APART = """
SELECT p.key, p.other, p.by FROM TEXTS(:keys) AS asked CROSS JOIN apart AS p WHERE p.tenant = :tenant AND p.key = asked.value
UNION SELECT p.key, p.other, p.by FROM TEXTS(:keys) AS asked CROSS JOIN apart AS p WHERE p.tenant = :tenant AND p.other = asked.value"""
_SPELLED = """
SELECT DISTINCT s.key FROM TEXTS(:keys) AS asked CROSS JOIN spelling AS s WHERE s.tenant = :tenant AND s.key = asked.value"""
_GROUPS = """
SELECT s.root_key, COUNT(DISTINCT s.chunk_pk) AS chunks, MAX(CASE WHEN s.key = s.root_key THEN 1 ELSE 0 END) AS own
FROM spelling AS s WHERE s.tenant = :tenant GROUP BY s.root_key"""
_PAGE = "SELECT a.* FROM alias AS a WHERE a.tenant = :tenant AND a.key > :after ORDER BY a.key LIMIT :limit"


class Aliases:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- what names mean

    def meanings(self, tenant: TenantId, keys: Collection[Key]) -> Names:
        """Of those keys that mean another, what they mean. One look-up."""
        return {row.key: Canonical(row.root_key, row.root_name) for row in self.of(tenant, keys).values()}

    def of(self, tenant: TenantId, keys: Collection[Key]) -> dict[Key, Alias]:
        """The edges that lead out of these keys."""
        return {row.key: _alias(row) for row in self._read(_OF_KEYS, tenant=tenant, keys=sorted(keys))} if keys else {}

    def named(self, tenant: TenantId, part: str) -> list[Key]:
        """Keys of entities with an alias that has this in its key; MOST_NAMED of them at most."""
        rows = self._read(_NAMED, tenant=tenant, pattern=f"%{part}%", limit=MOST_NAMED)  # a key has neither % nor _
        return [row.root_key for row in rows]

    def groups(self, tenant: TenantId, roots: Collection[Key]) -> dict[Key, list[Alias]]:
        """All that was merged into each of these, over however many steps."""
        found: dict[Key, list[Alias]] = {root: [] for root in roots}
        for row in self._read(_OF_ROOTS, tenant=tenant, keys=sorted(roots)) if roots else ():
            found[row.root_key].append(_alias(row))
        return found

    def in_use(self, tenant: TenantId, root: Key, *, limit: int) -> list[Alias]:
        """Names of an entity that documents spell."""
        return [_alias(row) for row in self._read(_IN_USE, tenant=tenant, root=root, limit=limit)]

    def page(self, tenant: TenantId, *, after: Key, limit: int) -> list[Alias]:
        return [_alias(row) for row in self._read(_PAGE, tenant=tenant, after=after, limit=limit)]

    def definitions(self, tenant: TenantId, keys: Collection[Key]) -> dict[Key, list[tuple[Meant, int]]]:
        """What chunks say these abbreviations mean, with how many say so; the most said first."""
        found: dict[Key, list[tuple[Meant, int]]] = {}
        for row in self._read(_DEFINITIONS, tenant=tenant, keys=sorted(keys)) if keys else ():
            found.setdefault(row.key, []).append((Meant(row.key, row.name, row.into_key, row.into_name), row.chunks))
        return found

    def apart(self, tenant: TenantId, keys: Collection[Key]) -> set[frozenset[Key]]:
        """Pairs with one of these that are not to be merged."""
        return {frozenset((row.key, row.other)) for row in self._read(_APART, tenant=tenant, keys=sorted(keys))} if keys else set()

    def spelled(self, tenant: TenantId, keys: Collection[Key]) -> set[Key]:
        """Those that chunks spell as an alias."""
        return {row.key for row in self._read(_SPELLED, tenant=tenant, keys=sorted(keys))} if keys else set()

    def stale(self, tenant: TenantId, keys: Collection[Key]) -> dict[Key, list[ChunkId]]:
        """Chunks of which the graph was told that they mean by a name what it does not mean any more."""
        found: dict[Key, list[ChunkId]] = {}
        for row in self._read(_STALE, tenant=tenant, keys=sorted(keys)) if keys else ():
            found.setdefault(row.key, []).append(ChunkId(row.id))
        return found

    def all_stale(self, tenant: TenantId) -> list[Key]:
        return [row.key for row in self._read(_ALL_STALE, tenant=tenant)]

    def spelled_groups(self, tenant: TenantId) -> dict[Key, tuple[int, bool]]:
        """Of each entity with aliases: how many chunks spell one, and whether one of these also spells the entity's own name."""
        return {row.root_key: (row.chunks, bool(row.own)) for row in self._read(_GROUPS, tenant=tenant)}

    # --- what chunks say of names

    def share(self, tenant: TenantId) -> None:
        """Inside write(): no merge is recorded until the commit."""
        self._db.share(_lock(tenant))

    def note(self, tenant: TenantId, noted: Mapping[ChunkId, Noted], *, doubtful: Iterable[Key] = ()) -> None:
        """Inside write(): in place of what was noted of these chunks. Names that changed, and doubtful ones, are to be looked at."""
        with self._db.write(tenant) as connection:
            pks = self._pks(connection, tenant, list(noted))
            lost = self._forget(connection, list(pks.values()))
            spelled = [
                {"chunk_pk": pks[id_], "key": key, "tenant": tenant, "root_key": root}
                for id_, each in noted.items()
                if id_ in pks
                for key, root in each.spelled.items()
            ]
            meant = [
                {"chunk_pk": pks[id_], "tenant": tenant, **one._asdict()}
                for id_, each in noted.items()
                if id_ in pks
                for one in {(one.key, one.into_key): one for one in each.meant}.values()
            ]
            # Two may note the same chunk at once, which say the same of it: in one order, and over what the other put there.
            if spelled:
                insert = self._db.insert(spelling)
                upsert = insert.on_conflict_do_update(index_elements=["chunk_pk", "key"], set_={"root_key": insert.excluded.root_key})
                connection.execute(upsert, sorted(spelled, key=lambda row: (row["chunk_pk"], row["key"])))
            if meant:
                new = self._db.insert(definition).on_conflict_do_nothing()
                connection.execute(new, sorted(meant, key=lambda row: (row["chunk_pk"], row["key"], row["into_key"])))
            told = {row["key"] for row in (*spelled, *meant)} | {row["into_key"] for row in meant}
            self._mark(connection, tenant, dict.fromkeys((lost - told) | set(doubtful)))

    def forget(self, tenant: TenantId, ids: Collection[ChunkId]) -> None:
        """Inside write(), before the chunks' rows go: what was noted of them. Merges that rest on it are to be looked at."""
        with self._db.write(tenant) as connection:
            lost = self._forget(connection, list(self._pks(connection, tenant, list(ids)).values()))
            self._mark(connection, tenant, dict.fromkeys(lost))

    def _pks(self, connection: sa.Connection, tenant: TenantId, ids: list[ChunkId]) -> dict[ChunkId, int]:
        return {ChunkId(row.id): row.pk for row in rows(connection, _CHUNKS, tenant=tenant, ids=ids)} if ids else {}

    def _forget(self, connection: sa.Connection, pks: list[int]) -> set[Key]:
        if not pks:
            return set()
        lost = {row.key for row in rows(connection, _FORGET_SPELLINGS, pks=pks)}
        for row in rows(connection, _FORGET_DEFINITIONS, pks=pks):
            lost |= {row.key, row.into_key}
        return lost

    # --- what is to be looked at

    def mark(self, tenant: TenantId, keys: Mapping[Key, str | None]) -> None:
        """These are to be looked at. A name: what an entity that comes back is called."""
        with self._db.write(tenant) as connection:
            self._mark(connection, tenant, keys)

    def _mark(self, connection: sa.Connection, tenant: TenantId, keys: Mapping[Key, str | None]) -> None:
        if not keys:
            return
        insert = self._db.insert(unsettled)
        rows = [{"tenant": tenant, "key": key, "name": name, "marks": 1} for key, name in sorted(keys.items())]
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["tenant", "key"],
                set_={"marks": unsettled.c.marks + 1, "name": sa.func.coalesce(insert.excluded.name, unsettled.c.name)},
            ),
            rows,
        )

    def unsettled(self, tenant: TenantId, *, after: Key = "", limit: int) -> dict[Key, tuple[str | None, int]]:
        """Names to be looked at, in order: what each was called, and its marks."""
        query = sa.select(unsettled).where(unsettled.c.tenant == tenant, unsettled.c.key > after).order_by(unsettled.c.key).limit(limit)
        with self._db.read(tenant) as connection:
            return {row.key: (row.name, row.marks) for row in connection.execute(query)}

    def settled(self, tenant: TenantId, keys: Mapping[Key, int]) -> None:
        """These were looked at, with so many marks; one marked again meanwhile stays."""
        if not keys:
            return
        gone = sa.delete(unsettled).where(
            unsettled.c.tenant == tenant, unsettled.c.key == sa.bindparam("b_key"), unsettled.c.marks == sa.bindparam("b_marks")
        )
        with self._db.write(tenant) as connection:
            connection.execute(gone, [{"b_key": key, "b_marks": marks} for key, marks in sorted(keys.items())])

    def tenants(self) -> list[TenantId]:
        """Those with names to be looked at."""
        with self._db.read() as connection:
            return [
                TenantId(row) for row in connection.execute(sa.select(unsettled.c.tenant).distinct().order_by(unsettled.c.tenant)).scalars()
            ]

    # --- merges

    def merge(self, tenant: TenantId, merges: Sequence[Merge], mentions: Mapping[Key, int], *, into: Key | None = None) -> int:
        """Record them; returns how many were new. Of each two entities the one with fewer mentions goes, the shorter name if equal.

        A machine's merge of what is apart is left out, also where only a third name would bring the two together; a person's takes
        them together again. into: the key that stays, whatever it has.
        """
        if not merges:
            return 0
        with self._db.write(tenant) as connection:
            self._db.hold(_lock(tenant))
            keys = {each.key for merge in merges for each in (merge.one, merge.other)}
            forest = Forest(self.of(tenant, keys), merges)
            forest.add(row for rows in self.groups(tenant, forest.roots()).values() for row in rows)
            kept_apart = self.apart(tenant, forest.members())
            new: list[Alias] = []
            for merge in merges:
                if merge.by == MACHINE and forest.parts(merge, kept_apart):
                    continue
                edge = forest.join(merge, mentions, into)
                if edge is not None:
                    new.append(edge)
                if merge.by != MACHINE:
                    self._bring_together(connection, tenant, forest.pairs_within(merge.one.key, kept_apart))
            self._write(connection, tenant, forest)
            self._mark(connection, tenant, {edge.key: None for edge in new})
            return len(new)

    def cut(self, tenant: TenantId, keys: Collection[Key], *, keep_apart: bool = False, by: str = MACHINE) -> set[Key]:
        """Undo these merges; what had been merged into a key before goes with it. Returns the names that mean something else now.

        keep_apart: for ever, by a person. A machine undoes no person's merge.
        """
        if not keys:
            return set()
        with self._db.write(tenant) as connection:
            self._db.hold(_lock(tenant))
            edges = {key: edge for key, edge in self.of(tenant, keys).items() if by != MACHINE or edge.is_by_machine}
            if not edges:
                return set()
            forest = Forest(edges, ())
            forest.add(row for rows in self.groups(tenant, forest.roots()).values() for row in rows)
            parted = {key: (edge.into_key, edge.root_key) for key, edge in edges.items()}
            moved = forest.cut(edges)
            gone = sa.delete(alias).where(alias.c.tenant == tenant, alias.c.key == sa.bindparam("b_key"))
            connection.execute(gone, [{"b_key": key} for key in sorted(edges)])
            self._write(connection, tenant, forest)
            if keep_apart:
                self._keep_apart(connection, tenant, {(key, other) for key, others in parted.items() for other in others}, by)
            self._mark(connection, tenant, {key: edges[key].name if key in edges else None for key in moved})
            return moved

    def keep_apart(self, tenant: TenantId, pairs: Iterable[tuple[Key, Key]], *, by: str) -> None:
        with self._db.write(tenant) as connection:
            self._keep_apart(connection, tenant, set(pairs), by)

    def _keep_apart(self, connection: sa.Connection, tenant: TenantId, pairs: set[tuple[Key, Key]], by: str) -> None:
        now = time.time()
        rows = [{"tenant": tenant, "key": min(pair), "other": max(pair), "by": by, "at": now} for pair in sorted(pairs)]
        if rows:
            insert = self._db.insert(apart)
            connection.execute(
                insert.on_conflict_do_update(index_elements=["tenant", "key", "other"], set_={"by": insert.excluded.by}), rows
            )

    def _bring_together(self, connection: sa.Connection, tenant: TenantId, pairs: Iterable[frozenset[Key]]) -> None:
        rows = [{"b_key": min(pair), "b_other": max(pair)} for pair in pairs]
        if rows:
            here = (apart.c.key == sa.bindparam("b_key"), apart.c.other == sa.bindparam("b_other"))
            connection.execute(sa.delete(apart).where(apart.c.tenant == tenant, *here), rows)

    def _write(self, connection: sa.Connection, tenant: TenantId, forest: Forest) -> None:
        rows = [{"tenant": tenant, **edge._asdict()} for edge in forest.changed()]
        if rows:
            insert = self._db.insert(alias)
            values = {name: insert.excluded[name] for name in Alias._fields if name != "key"}
            connection.execute(insert.on_conflict_do_update(index_elements=["tenant", "key"], set_=values), rows)

    def clear(self, tenant: TenantId) -> None:
        """All but what people decided and what is merged: before a graph is made anew, which notes the rest again."""
        with self._db.write(tenant) as connection:
            for table in (spelling, definition):
                connection.execute(sa.delete(table).where(table.c.tenant == tenant))

    # --- statements

    def _read(self, sql: str, *, tenant: TenantId, **values: Any) -> Sequence[Any]:
        with self._db.read(tenant) as connection:
            return rows(connection, sql, tenant=tenant, **values)


def _lock(tenant: TenantId) -> str:
    return f"aliases {tenant}"


def _alias(row: Any) -> Alias:
    return Alias(*(getattr(row, name) for name in Alias._fields))
