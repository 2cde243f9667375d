"""What an LLM costs, by tenant and job; and which documents wait for a budget."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "model"),
    )
    op.add_column("job", sa.Column("usage", sa.JSON(), nullable=True))
    op.add_column("revision", sa.Column("waits_until", sa.Float(), nullable=True))
    op.create_index("revision_by_wait", "revision", ["waits_until"], unique=False)


def downgrade() -> None:
    op.drop_index("revision_by_wait", table_name="revision")
    op.drop_column("revision", "waits_until")
    op.drop_column("job", "usage")
    op.drop_table("spending")
