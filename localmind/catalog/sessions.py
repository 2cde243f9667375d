"""Logins: sessions, their rotating refresh tokens, and which access tokens are not to be taken any more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

import sqlalchemy as sa

from localmind.accounts.model import Role, SessionId, UserId
from localmind.catalog.account_tables import membership, refresh_token, session
from localmind.catalog.database import Database
from localmind.model import TenantId

REVOKED = 2**31 - 1
"""A generation that no token has."""

KEEP_S = 86_400
"""Sessions that ended are kept for so long: until no access token of theirs can hold."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login that holds, with the member's role of now."""

    id: SessionId
    tenant: TenantId
    user_id: UserId
    role: Role
    generation: int


class Use(Enum):
    """What the use of a refresh token came to."""

    FRESH = auto()
    REUSED = auto()
    UNKNOWN = auto()


class Used(NamedTuple):
    outcome: Use
    session: Session | None


class SessionTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, tenant: TenantId, user_id: UserId, session_id: SessionId, *, lasts_s: float, cookie_hash: str | None = None) -> None:
        now = self._db.now()
        row = {
            "id": session_id,
            "tenant": tenant,
            "user_id": user_id,
            "cookie_hash": cookie_hash,
            "generation": 1,
            "created_at": now,
            "expires_at": now + lasts_s,
            "changed_at": 0.0,
        }
        with self._db.write(tenant) as connection:
            connection.execute(sa.insert(session).values(row))

    def add_refresh_token(self, tenant: TenantId, session_id: SessionId, token_hash: str) -> None:
        row = {"hash": token_hash, "session_id": session_id, "tenant": tenant, "created_at": self._db.now()}
        with self._db.write(tenant) as connection:
            connection.execute(sa.insert(refresh_token).values(row))

    def use_refresh_token(self, token_hash: str, *, successor: str) -> Used:
        """Takes the token and puts `successor` in its place. One that was taken before ends its session: who had it is not known.

        Asked without a tenant: the token says which.
        """
        with self._db.write() as connection:
            taken = sa.update(refresh_token).where(refresh_token.c.hash == token_hash, refresh_token.c.used_at.is_(None))
            row = connection.execute(
                taken.values(used_at=self._db.now()).returning(refresh_token.c.session_id, refresh_token.c.tenant)
            ).one_or_none()
            if row is None:
                return self._reused(token_hash)
            found = self._holding(session.c.id == row.session_id)
            if found is not None:
                self.add_refresh_token(found.tenant, found.id, successor)
            return Used(Use.FRESH if found else Use.UNKNOWN, found)

    def by_cookie(self, cookie_hash: str) -> Session | None:
        return self._holding(session.c.cookie_hash == cookie_hash)

    def revoke(self, tenant: TenantId, session_id: SessionId) -> None:
        self._revoke((session.c.tenant == tenant) & (session.c.id == session_id))

    def revoke_all(self, user_id: UserId, *, tenant: TenantId | None = None) -> None:
        """Every login of an account; of one tenant where it is named."""
        self._revoke((session.c.user_id == user_id) & (sa.true() if tenant is None else session.c.tenant == tenant))

    def outdate(self, tenant: TenantId, user_id: UserId) -> None:
        """The member's access tokens say what is no longer so: the next refresh gives new ones."""
        where = (session.c.tenant == tenant) & (session.c.user_id == user_id) & session.c.revoked_at.is_(None)
        with self._db.write(tenant) as connection:
            connection.execute(sa.update(session).where(where).values(generation=session.c.generation + 1, changed_at=self._db.now()))

    def changed_within(self, seconds: float) -> dict[SessionId, int]:
        """Of sessions that changed, the least generation whose access tokens still hold; REVOKED: none does."""
        query = sa.select(session.c.id, session.c.generation, session.c.revoked_at).where(session.c.changed_at > self._db.now() - seconds)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return {SessionId(row.id): row.generation if row.revoked_at is None else REVOKED for row in rows}

    def drop_ended(self) -> None:
        """Forgets sessions that ended a day ago."""
        now = self._db.now()
        ended = (session.c.expires_at < now - KEEP_S) | (session.c.revoked_at < now - KEEP_S)
        with self._db.write() as connection:
            connection.execute(sa.delete(refresh_token).where(refresh_token.c.session_id.in_(sa.select(session.c.id).where(ended))))
            connection.execute(sa.delete(session).where(ended))

    def _reused(self, token_hash: str) -> Used:
        query = sa.select(session.c.id, session.c.tenant).join(refresh_token, refresh_token.c.session_id == session.c.id)
        with self._db.write() as connection:
            row = connection.execute(query.where(refresh_token.c.hash == token_hash)).one_or_none()
        if row is None:
            return Used(Use.UNKNOWN, None)
        self.revoke(TenantId(row.tenant), SessionId(row.id))
        return Used(Use.REUSED, None)

    def _holding(self, where: sa.ColumnElement[bool]) -> Session | None:
        """The session, unless it has ended or its member may not enter any more."""
        joined = session.join(membership, (membership.c.tenant == session.c.tenant) & (membership.c.user_id == session.c.user_id))
        query = sa.select(session, membership.c.role).select_from(joined)
        query = query.where(
            where, session.c.revoked_at.is_(None), session.c.expires_at > self._db.now(), membership.c.disabled_at.is_(None)
        )
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _session(row)

    def _revoke(self, where: sa.ColumnElement[bool]) -> None:
        now = self._db.now()
        with self._db.write() as connection:
            connection.execute(sa.update(session).where(where, session.c.revoked_at.is_(None)).values(revoked_at=now, changed_at=now))


def _session(row: Any) -> Session:
    return Session(SessionId(row.id), TenantId(row.tenant), UserId(row.user_id), Role(row.role), row.generation)
