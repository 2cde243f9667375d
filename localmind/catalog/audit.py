"""What was done, by whom, when and from where. Rows are added, read, and cut off at the beginning; nothing changes one."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog

from localmind.accounts.acting import current
from localmind.accounts.model import ApiKeyId, UserId
from localmind.catalog import cursors
from localmind.catalog.account_tables import space
from localmind.catalog.audit_chain import BEGINNING, Flaw, Link, flaws, hash_of, seal
from localmind.catalog.audit_tables import audit_chain, audit_event, audit_person
from localmind.catalog.database import Database
from localmind.ids import random_id
from localmind.model import ListPage, TenantId

BATCH = 1000
MOST_SEQ = 2**63 - 1
IDS_A_ROW = 100
"""Of one call that takes many documents in."""

NOBODY = UserId("")


log = structlog.get_logger("localmind.audit")


class Event(StrEnum):
    DOCUMENT_INGESTED = "document_ingested"
    DOCUMENT_DELETED = "document_deleted"
    SEARCH_PERFORMED = "search_performed"
    CHAT = "chat"
    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    LOGOUT = "logout"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    CONSENT = "consent"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    MEMBER_INVITED = "member_invited"
    MEMBER_JOINED = "member_joined"
    MEMBER_REMOVED = "member_removed"
    ROLE_CHANGED = "role_changed"
    SPACE_CREATED = "space_created"
    SPACE_DELETED = "space_deleted"
    SPACE_CHANGED = "space_changed"
    EXPORT = "export"
    ERASURE = "erasure"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Note:
    """An event before it has its place in a chain. details: ids and counts, no text of anybody's. tenant: None where only the space is
    known. personal: what is erased with the person. secret: what only a hash under their secret is kept of.
    """

    event: Event
    space: TenantId
    details: Mapping[str, Any]
    at: float
    tenant: TenantId | None = None
    user_id: UserId | None = None
    subject: UserId | None = None
    key_id: ApiKeyId | None = None
    request_id: str | None = None
    personal: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that was written down. actor, subject: who did it and whom it concerns, as the chain has them; user_id and
    subject_id: the same people, None where nobody was logged in, or since they were erased.
    """

    seq: int
    at: float
    event: str
    actor: str
    user_id: UserId | None
    subject: str | None
    subject_id: UserId | None
    key_id: str | None
    space: str | None
    request_id: str | None
    details: Mapping[str, Any]
    personal: Mapping[str, Any] | None
    hash: str


class Verdict(NamedTuple):
    """Of a tenant's chain. begins: the first row that is kept. end: to be noted elsewhere, it proves later that nothing was rewritten."""

    flaws: tuple[Flaw, ...]
    rows: int
    begins: int
    end: Link


def note(
    event: Event,
    space: TenantId,
    *,
    tenant: TenantId | None = None,
    user_id: UserId | None = None,
    subject: UserId | None = None,
    personal: Mapping[str, Any] | None = None,
    secret: Mapping[str, Any] | None = None,
    **details: Any,
) -> Note:
    """By whoever acts now. tenant, user_id: where the one who acts is not known to the request yet, as at a login."""
    actor = current()
    principal = actor.principal
    address = {} if actor.address is None else {"address": actor.address}
    return Note(
        event,
        space,
        details,
        time.time(),
        tenant=tenant or (None if principal is None else principal.tenant),
        user_id=user_id or actor.user_id,
        subject=subject,
        key_id=None if principal is None else principal.key_id,
        request_id=actor.request_id,
        personal={**address, **(personal or {})},
        secret=secret or {},
    )


class AuditTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    # --- writing

    def record(self, event: Event, space: TenantId, **said: Any) -> None:
        """Within write(): the event is there if and only if what it tells of is. Stands last, since it makes a tenant's writers wait."""
        self.append([note(event, space, **said)])

    def append(self, notes: Sequence[Note]) -> None:
        """All or none, each tenant's in order."""
        by_tenant: dict[TenantId, list[Note]] = defaultdict(list)
        with self._db.across(), self._db.write() as connection:
            owners = self._owners({one.space for one in notes if one.tenant is None})
            for one in notes:
                by_tenant[one.tenant or owners.get(one.space, one.space)].append(one)
            for tenant in sorted(by_tenant):
                self._db.hold(f"audit {tenant}")
                self._append(connection, tenant, by_tenant[tenant])

    def trim(self, tenant: TenantId, *, before: float) -> int:
        """Lets go of what is older (seconds since 1970), and says so at the chain's end, with the hash that it goes on from."""
        with self._db.write(tenant) as connection:
            self._db.hold(f"audit {tenant}")
            kept = sa.select(sa.func.min(audit_event.c.seq)).where(audit_event.c.tenant == tenant, audit_event.c.at >= before)
            first_kept = connection.execute(kept).scalar_one()
            old = (audit_event.c.tenant == tenant) & (sa.true() if first_kept is None else audit_event.c.seq < first_kept)
            last = sa.select(audit_event.c.seq, audit_event.c.hash).where(old).order_by(audit_event.c.seq.desc()).limit(1)
            anchor = connection.execute(last).one_or_none()
            if anchor is None:
                return 0
            gone = connection.execute(sa.delete(audit_event).where(old)).rowcount
            moved = sa.update(audit_chain).where(audit_chain.c.tenant == tenant)
            connection.execute(moved.values(anchor_seq=anchor.seq, anchor_hash=anchor.hash))
            self.record(Event.MAINTENANCE, tenant, tenant=tenant, what="audit_trimmed", through=anchor.seq, hash=anchor.hash)
        return int(gone)

    def forget_person(self, tenant: TenantId, user_id: UserId) -> str | None:
        """From now on nothing says whose events theirs are, nor from where they came. Returns what the chain called them, if it did."""
        with self._db.write(tenant) as connection:
            self._db.hold(f"audit {tenant}")
            mine = (audit_person.c.tenant == tenant) & (audit_person.c.user_id == user_id)
            id_ = connection.execute(sa.select(audit_person.c.id).where(mine)).scalar_one_or_none()
            if id_ is not None:
                theirs = (audit_event.c.tenant == tenant) & (audit_event.c.actor == id_)
                connection.execute(sa.update(audit_event).where(theirs).values(personal=sa.null()))
                connection.execute(sa.delete(audit_person).where(mine))
        return id_

    def _append(self, connection: sa.Connection, tenant: TenantId, notes: Sequence[Note]) -> None:
        people = {one.user_id or NOBODY for one in notes} | {one.subject for one in notes if one.subject}
        known = self._persons(connection, tenant, people)
        end = self._end(connection, tenant)
        rows = []
        for one in notes:
            rows.append(_row(one, tenant, known, end))
            end = Link(rows[-1]["seq"], rows[-1]["hash"])
        connection.execute(sa.insert(audit_event), rows)
        for row in rows:  # the log, where it is kept elsewhere, proves that nobody rewrote a whole chain
            said = {name: row[name] for name in ("seq", "actor", "space", "details", "hash")}
            log.info("audit", kind=row["event"], tenant_id=tenant, request_id=row["request_id"], **said)
        head = {"tenant": tenant, "seq": end.seq, "hash": end.hash, "anchor_seq": 0, "anchor_hash": ""}
        insert = self._db.insert(audit_chain).values(head)
        connection.execute(insert.on_conflict_do_update(index_elements=["tenant"], set_={"seq": end.seq, "hash": end.hash}))

    def _persons(self, connection: sa.Connection, tenant: TenantId, people: set[UserId]) -> dict[UserId, _Person]:
        theirs = sa.select(audit_person).where(audit_person.c.tenant == tenant, audit_person.c.user_id.in_(people))
        known = {UserId(row.user_id): _Person(row.id, row.secret) for row in connection.execute(theirs)}
        fresh = [{"id": random_id(), "tenant": tenant, "user_id": one, "secret": secrets.token_hex(32)} for one in people - known.keys()]
        if fresh:
            connection.execute(sa.insert(audit_person), fresh)
        return known | {UserId(row["user_id"]): _Person(row["id"], row["secret"]) for row in fresh}

    def _owners(self, spaces: Collection[TenantId]) -> dict[TenantId, TenantId]:
        if not spaces:
            return {}
        query = sa.select(space.c.id, space.c.tenant).where(space.c.id.in_(spaces))
        with self._db.read() as connection:
            return {TenantId(row.id): TenantId(row.tenant) for row in connection.execute(query)}

    # --- reading

    def page(
        self,
        tenant: TenantId,
        *,
        event: str | None = None,
        user_id: UserId | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> ListPage[Entry]:
        """The newest first. user_id: who did it. since, until: seconds since 1970. Raises BadCursor."""
        query = ENTRIES.where(audit_event.c.tenant == tenant).order_by(audit_event.c.seq.desc()).limit(limit + 1)
        if event is not None:
            query = query.where(audit_event.c.event == event)
        if user_id is not None:
            theirs = sa.select(audit_person.c.id).where(audit_person.c.tenant == tenant, audit_person.c.user_id == user_id)
            query = query.where(audit_event.c.actor.in_(theirs))
        if since is not None:
            query = query.where(audit_event.c.at >= since)
        if until is not None:
            query = query.where(audit_event.c.at < until)
        if cursor is not None:
            (before,) = cursors.decode(cursor, int)
            assert isinstance(before, int)
            query = query.where(audit_event.c.seq < max(0, min(before, MOST_SEQ)))
        with self._db.read(tenant) as connection:
            found = [_entry(row) for row in connection.execute(query)]
        return ListPage(tuple(found[:limit]), cursors.encode(found[limit - 1].seq) if len(found) > limit else None)

    def tenants(self) -> list[TenantId]:
        with self._db.read() as connection:
            return [TenantId(one) for one in connection.execute(sa.select(audit_chain.c.tenant).order_by(audit_chain.c.tenant)).scalars()]

    def verify(self, tenant: TenantId, *, most: int = 100) -> Verdict:
        """Reads the whole chain. Where it is cut off meanwhile, it begins again."""
        while True:
            anchor, end = self._bounds(tenant)
            found, count = self._flaws(tenant, anchor, end, most)
            if self._bounds(tenant)[0] == anchor:
                return Verdict(tuple(found), count, anchor.seq + 1, end)

    def _flaws(self, tenant: TenantId, anchor: Link, end: Link, most: int) -> tuple[list[Flaw], int]:
        count, trims = 0, [BEGINNING]

        def rows() -> Iterator[Mapping[str, Any]]:
            nonlocal count
            for row in self._rows(tenant, end):
                count += 1
                if row["event"] == Event.MAINTENANCE and row["details"].get("what") == "audit_trimmed":
                    trims.append(Link(row["details"]["through"], row["details"]["hash"]))
                yield row

        found: list[Flaw] = []
        for flaw in flaws(rows(), self._secrets(tenant), after=anchor, end=end):
            if len(found) < most:
                found.append(flaw)
        if trims[-1] != anchor:
            found.append(Flaw(anchor.seq + 1, "is not where the chain was said to begin: what came before was removed"))
        found += [Flaw(seq, "was put in after the end of the chain") for seq in self._beyond(tenant, most)]
        return found[:most], count

    def _bounds(self, tenant: TenantId) -> tuple[Link, Link]:
        """After which row the chain begins, and its end."""
        with self._db.read(tenant) as connection:
            row = connection.execute(sa.select(audit_chain).where(audit_chain.c.tenant == tenant)).one_or_none()
        if row is None:
            return BEGINNING, BEGINNING
        return Link(row.anchor_seq, row.anchor_hash), Link(row.seq, row.hash)

    def _rows(self, tenant: TenantId, end: Link) -> Iterator[Mapping[str, Any]]:
        after = 0
        while True:
            query = sa.select(audit_event).where(audit_event.c.tenant == tenant, audit_event.c.seq > after, audit_event.c.seq <= end.seq)
            with self._db.read(tenant) as connection:
                found = connection.execute(query.order_by(audit_event.c.seq).limit(BATCH)).mappings().all()
            if not found:
                return
            yield from (dict(row) for row in found)
            after = found[-1]["seq"]

    def _beyond(self, tenant: TenantId, most: int) -> list[int]:
        end = sa.select(audit_chain.c.seq).where(audit_chain.c.tenant == tenant).scalar_subquery()
        query = sa.select(audit_event.c.seq).where(audit_event.c.tenant == tenant, audit_event.c.seq > sa.func.coalesce(end, 0))
        with self._db.read(tenant) as connection:
            return list(connection.execute(query.order_by(audit_event.c.seq).limit(most)).scalars())

    def _secrets(self, tenant: TenantId) -> dict[str, str]:
        query = sa.select(audit_person.c.id, audit_person.c.secret).where(audit_person.c.tenant == tenant)
        with self._db.read(tenant) as connection:
            return {row.id: row.secret for row in connection.execute(query)}

    def _end(self, connection: sa.Connection, tenant: TenantId) -> Link:
        row = connection.execute(sa.select(audit_chain.c.seq, audit_chain.c.hash).where(audit_chain.c.tenant == tenant)).one_or_none()
        return BEGINNING if row is None else Link(row.seq, row.hash)


class _Person(NamedTuple):
    id: str
    secret: str


_actor, _subject = audit_person.alias("by_whom"), audit_person.alias("to_whom")
ENTRIES = sa.select(audit_event, _actor.c.user_id, _subject.c.user_id.label("subject_id")).select_from(
    audit_event.outerjoin(_actor, _actor.c.id == audit_event.c.actor).outerjoin(_subject, _subject.c.id == audit_event.c.subject)
)


def _row(one: Note, tenant: TenantId, known: Mapping[UserId, _Person], end: Link) -> dict[str, Any]:
    person = known[one.user_id or NOBODY]
    personal = dict(one.personal) or None
    hashes = {name: seal(person.secret, {name: value})[:32] for name, value in one.secret.items()}
    row: dict[str, Any] = {
        "tenant": tenant,
        "seq": end.seq + 1,
        "at": one.at,
        "event": one.event.value,
        "actor": person.id,
        "subject": None if one.subject is None else known[one.subject].id,
        "key_id": one.key_id,
        "space": None if one.space == tenant else one.space,
        "request_id": one.request_id,
        "details": {**one.details, **hashes},
        "personal": personal,
        "seal": None if personal is None else seal(person.secret, personal),
        "previous": end.hash,
    }
    return {**row, "hash": hash_of(row, end.hash)}


def _entry(row: Any) -> Entry:
    return Entry(
        seq=row.seq,
        at=row.at,
        event=row.event,
        actor=row.actor,
        user_id=row.user_id or None,
        subject=row.subject,
        subject_id=row.subject_id or None,
        key_id=row.key_id,
        space=row.space,
        request_id=row.request_id,
        details=row.details,
        personal=row.personal,
        hash=row.hash,
    )
