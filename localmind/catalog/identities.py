"""Who people are to login providers, and which tenants let them in by that. Identities stand outside of tenants, as accounts do."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from localmind.accounts.model import LoginRule, UserId
from localmind.catalog.account_tables import identity, login_domain, login_rule
from localmind.catalog.database import Database
from localmind.errors import Conflict
from localmind.model import TenantId


class IdentityTable:
    def __init__(self, database: Database) -> None:
        self._db = database

    def user_of(self, issuer: str, subject: str) -> UserId | None:
        query = sa.select(identity.c.user_id).where(identity.c.issuer == issuer, identity.c.subject == subject)
        with self._db.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else UserId(found)

    def subject_of(self, issuer: str, user_id: UserId) -> str | None:
        """An account is one person to a provider."""
        query = sa.select(identity.c.subject).where(identity.c.issuer == issuer, identity.c.user_id == user_id)
        with self._db.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def add(self, issuer: str, subject: str, user_id: UserId) -> None:
        row = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": self._db.now()}
        with self._db.write() as connection:
            connection.execute(sa.insert(identity).values(row))

    # --- what tenants allow

    def rule(self, tenant: TenantId) -> LoginRule:
        return self.rules([tenant])[tenant]

    def rules(self, tenants: Collection[TenantId]) -> dict[TenantId, LoginRule]:
        """Of each of them; of one that never said anything, a rule that allows nothing."""
        with self._db.read() as connection:
            links = set(
                connection.execute(
                    sa.select(login_rule.c.tenant).where(login_rule.c.tenant.in_(tenants), login_rule.c.link_by_email)
                ).scalars()
            )
            named = connection.execute(sa.select(login_domain).where(login_domain.c.tenant.in_(tenants))).all()
        return {tenant: LoginRule(tenant in links, frozenset(row.domain for row in named if row.tenant == tenant)) for tenant in tenants}

    def joined_by(self, domain: str) -> TenantId | None:
        """The tenant that whoever has an address there may join. Asked without a tenant: the address says which."""
        with self._db.read() as connection:
            found = connection.execute(sa.select(login_domain.c.tenant).where(login_domain.c.domain == domain)).scalar_one_or_none()
        return None if found is None else TenantId(found)

    def set_rule(self, tenant: TenantId, rule: LoginRule) -> None:
        """Raises Conflict for a domain that is another tenant's."""
        insert = self._db.insert(login_rule).values(tenant=tenant, link_by_email=rule.link_by_email)
        put = insert.on_conflict_do_update(index_elements=["tenant"], set_={"link_by_email": rule.link_by_email})
        taken = sa.select(login_domain.c.domain).where(login_domain.c.domain.in_(rule.join_domains), login_domain.c.tenant != tenant)
        with self._db.write() as connection:
            self._db.hold("login domains")
            if others := list(connection.execute(taken).scalars()):
                raise Conflict(f"Another tenant is joined by {', '.join(others)}.", hint="A domain joins one tenant.")
            connection.execute(put)
            connection.execute(sa.delete(login_domain).where(login_domain.c.tenant == tenant))
            if rule.join_domains:
                rows = [{"domain": domain, "tenant": tenant} for domain in sorted(rule.join_domains)]
                connection.execute(sa.insert(login_domain), rows)
