"""What tenants use by day, and limits that one of them has of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "kind"),
    )
    op.create_table(
        "quota",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_index("revision_by_size", "revision", ["tenant", "size_bytes", "chunks"], unique=False)
    op.create_index("source_by_deletion", "source", ["tenant", "deleted_at"], unique=False)


def downgrade() -> None:
    op.drop_index("source_by_deletion", table_name="source")
    op.drop_index("revision_by_size", table_name="revision")
    op.drop_table("quota")
    op.drop_table("usage")
