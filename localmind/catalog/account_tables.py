"""The tables of who may do what: accounts, their places in tenants, spaces, sessions, keys. What is secret is here as a hash."""

from __future__ import annotations

import sqlalchemy as sa

from localmind.catalog.tables import Json, Time, metadata

account = sa.Table(  # a person, who may belong to several tenants
    "account",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("email", sa.String(320), nullable=False, unique=True),  # as accounts.emails.canonical gives it
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text),  # argon2id; null: no login by password
    sa.Column("created_at", Time, nullable=False),
    sa.Column("last_login_at", Time),
)

membership = sa.Table(
    "membership",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("disabled_at", Time),
    sa.Column("created_at", Time, nullable=False),
)
sa.Index("membership_by_user", membership.c.user_id)

space = sa.Table(  # a knowledge base; its id is the tenant that every other table, vector, node and file of it carries
    "space",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("restricted", sa.Boolean, nullable=False),  # to its members and the tenant's administrators
    sa.Column("created_at", Time, nullable=False),
    sa.Column("deleted_at", Time),  # until the last of its sources has gone
)
sa.Index("space_by_tenant", space.c.tenant, space.c.created_at)

space_member = sa.Table(
    "space_member",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("space_id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
sa.Index("space_member_by_user", space_member.c.tenant, space_member.c.user_id)

session = sa.Table(  # one login: a family of refresh tokens
    "session",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("cookie_hash", sa.String(64), unique=True),  # of a page's login
    sa.Column("generation", sa.Integer, nullable=False),  # access tokens of a lesser one are not taken any more
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("revoked_at", Time),
    sa.Column("changed_at", Time, nullable=False),  # when generation or revoked_at did; 0: never
)
sa.Index("session_by_user", session.c.user_id, session.c.tenant)
sa.Index("session_by_change", session.c.changed_at)
sa.Index("session_by_expiry", session.c.expires_at)

refresh_token = sa.Table(
    "refresh_token",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("session_id", sa.String(64), nullable=False),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("used_at", Time),  # given again after that, it was stolen, or its successor was
)
sa.Index("refresh_token_by_session", refresh_token.c.session_id)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),  # whom it acts for: it can do no more than they
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("scopes", Json, nullable=False),
    sa.Column("spaces", Json),  # ids of the spaces it is limited to; null: all that its user may enter
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time),
    sa.Column("last_used_at", Time),
    sa.Column("replaced_by", sa.String(64)),
)
sa.Index("api_key_by_user", api_key.c.tenant, api_key.c.user_id, api_key.c.id)

invitation = sa.Table(
    "invitation",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("invited_by", sa.String(64)),  # null: by the owner of a service without logins
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
)
sa.Index("invitation_by_tenant", invitation.c.tenant, invitation.c.email, unique=True)

login_attempt = sa.Table(  # failed logins, of an account and of an account from an address
    "login_attempt",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # a hash: whoever reads the table learns no address
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("locked_until", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
)
sa.Index("login_attempt_by_time", login_attempt.c.updated_at)

identity = sa.Table(  # who a person is to a login provider
    "identity",
    metadata,
    sa.Column("issuer", sa.String(300), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),  # the provider's name for them, which never changes, as an address may
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
sa.Index("identity_by_user", identity.c.user_id, identity.c.issuer, unique=True)

login_rule = sa.Table(  # what a tenant allows logins of a provider; without a row nothing
    "login_rule",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("link_by_email", sa.Boolean, nullable=False),
)

login_domain = sa.Table(  # whoever has an address there may join the tenant
    "login_domain",
    metadata,
    sa.Column("domain", sa.String(255), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
)
sa.Index("login_domain_by_tenant", login_domain.c.tenant)

ACCOUNT_TABLES = (account, membership, space, space_member, api_key, invitation, identity, login_rule, login_domain)
"""What outlives a move to other engines. Sessions and failed logins do not."""
