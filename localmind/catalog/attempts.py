"""Failed logins, counted where every backend of a fleet sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa

from localmind.catalog.account_tables import login_attempt
from localmind.catalog.database import Database

FORGET_S = 86_400
"""A failure counts no more when the last one is so long ago."""


class Rule(NamedTuple):
    """The first `free` failures cost nothing; from then on each doubles the lock, from first_s to most_s."""

    free: int
    first_s: float
    most_s: float


class AttemptTable:
    """Keys are hashes of an account's address, or of that and where the attempt came from."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, rules: Mapping[str, Rule]) -> float:
        """Seconds for which the attempt has to wait; 0: it may be made, and counts as failed until clear().

        Counted before the password is looked at, and one after the other, so that attempts at the same moment can't outrun it.
        """
        with self._db.write() as connection:
            for key in sorted(rules):
                self._db.hold(f"login {key}")
            longest = sa.func.max(login_attempt.c.locked_until - self._db.now())
            left = connection.execute(sa.select(longest).where(login_attempt.c.key.in_(rules))).scalar_one()
            if left is not None and left > 0:
                return float(left)
            for key, rule in rules.items():
                self._count(connection, key, rule)
        return 0.0

    def _count(self, connection: sa.Connection, key: str, rule: Rule) -> None:
        now = self._db.now()
        insert = self._db.insert(login_attempt).values(key=key, failures=1, locked_until=0.0, updated_at=now)
        failures = sa.case((login_attempt.c.updated_at < now - FORGET_S, 1), else_=login_attempt.c.failures + 1)
        counted = insert.on_conflict_do_update(index_elements=["key"], set_={"failures": failures, "updated_at": now})
        count = int(connection.execute(counted.returning(login_attempt.c.failures)).scalar_one())
        if count >= rule.free:
            lock_s = min(rule.most_s, rule.first_s * 2 ** min(count - rule.free, 30))
            connection.execute(sa.update(login_attempt).where(login_attempt.c.key == key).values(locked_until=now + lock_s))

    def clear(self, keys: list[str]) -> None:
        with self._db.write() as connection:
            connection.execute(sa.delete(login_attempt).where(login_attempt.c.key.in_(keys)))

    def forget(self) -> None:
        """Drops what counts no more."""
        with self._db.write() as connection:
            connection.execute(sa.delete(login_attempt).where(login_attempt.c.updated_at < self._db.now() - FORGET_S))
