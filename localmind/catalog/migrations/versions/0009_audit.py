"""Audit events, retention, consent, erasures, and who added a document or asked a question."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column("space", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("personal", sa.JSON(), nullable=True),
        sa.Column("seal", sa.String(length=64), nullable=True),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "seq"),
    )
    op.create_index("audit_event_by_actor", "audit_event", ["tenant", "actor", "seq"], unique=False)
    op.create_index("audit_event_by_kind", "audit_event", ["tenant", "event", "seq"], unique=False)
    op.create_table(
        "audit_chain",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("anchor_seq", sa.BigInteger(), nullable=False),
        sa.Column("anchor_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "audit_person",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_person_by_user", "audit_person", ["tenant", "user_id"], unique=True)
    op.create_table(
        "retention",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("documents_days", sa.Integer(), nullable=True),
        sa.Column("unused_days", sa.Integer(), nullable=True),
        sa.Column("conversations_days", sa.Integer(), nullable=True),
        sa.Column("audit_days", sa.Integer(), nullable=True),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "consent",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("accepted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "version"),
    )
    op.create_table(
        "erasure",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("documents", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id"),
    )
    op.add_column("source", sa.Column("added_by", sa.String(length=64), nullable=True))
    op.add_column("source", sa.Column("used_at", sa.Float(), nullable=True))
    op.add_column("conversation", sa.Column("user_id", sa.String(length=64), nullable=True))
    op.add_column("message", sa.Column("user_id", sa.String(length=64), nullable=True))
    for name, table, column in WHOSE:
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, table, [column, "tenant"], unique=False, postgresql_where=there, sqlite_where=there)


def downgrade() -> None:
    for name, table, column in reversed(WHOSE):
        op.drop_index(name, table_name=table)
        op.drop_column(table, column)
    op.drop_column("source", "used_at")
    for table in ("erasure", "consent", "retention", "audit_person", "audit_chain", "audit_event"):
        op.drop_table(table)


WHOSE = (
    ("source_by_adder", "source", "added_by"),
    ("conversation_by_user", "conversation", "user_id"),
    ("message_by_user", "message", "user_id"),
)
