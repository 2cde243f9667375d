"""The tables of what was done, by whom, and what a tenant keeps for how long."""

from __future__ import annotations

import sqlalchemy as sa

from localmind.catalog.tables import Json, Time, metadata

audit_event = sa.Table(  # only added to, and cut off at its beginning; see catalog/audit_chain.py
    "audit_event",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ... without a gap
    sa.Column("at", Time, nullable=False),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),  # audit_person.id, never the person's own id
    sa.Column("subject", sa.String(64)),  # the same of the person whom it concerns
    sa.Column("key_id", sa.String(64)),
    sa.Column("space", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("details", Json, nullable=False),
    sa.Column("personal", Json),  # address and the like: erased with the person; `seal` is what the chain holds of it
    sa.Column("seal", sa.String(64)),
    sa.Column("previous", sa.String(64), nullable=False),  # hash of the row before
    sa.Column("hash", sa.String(64), nullable=False),
)
sa.Index("audit_event_by_actor", audit_event.c.tenant, audit_event.c.actor, audit_event.c.seq)
sa.Index("audit_event_by_kind", audit_event.c.tenant, audit_event.c.event, audit_event.c.seq)

audit_chain = sa.Table(  # a tenant's chain: its end, and the row that it begins after
    "audit_chain",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("anchor_seq", sa.BigInteger, nullable=False),  # 0: from the first
    sa.Column("anchor_hash", sa.String(64), nullable=False),
)

audit_person = sa.Table(  # who a chain's actors are: erasing a person removes the row, and the chain still holds
    "audit_person",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),  # random
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(64), nullable=False),  # "": nobody who is known, or whoever has the machine
    sa.Column("secret", sa.String(64), nullable=False),  # without it a seal gives nothing away
)
sa.Index("audit_person_by_user", audit_person.c.tenant, audit_person.c.user_id, unique=True)

retention = sa.Table(  # after how many days a tenant lets go of what; null: never
    "retention",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("documents_days", sa.Integer),
    sa.Column("unused_days", sa.Integer),
    sa.Column("conversations_days", sa.Integer),
    sa.Column("audit_days", sa.Integer),
    sa.Column("changed_at", Time, nullable=False),
)

consent = sa.Table(  # which text a person agreed to
    "consent",
    metadata,
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),  # hash of the text
    sa.Column("accepted_at", Time, nullable=False),
)

erasure = sa.Table(  # what an erasure that was begun has yet to do
    "erasure",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("documents", sa.Boolean, nullable=False),  # those that they added go too
    sa.Column("created_at", Time, nullable=False),
)

PRIVACY_TABLES = (audit_event, audit_chain, audit_person, retention, consent, erasure)
