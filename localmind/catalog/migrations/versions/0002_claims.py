"""Claims in turns between tenants, and the workers that make them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.drop_index("job_by_status", table_name="job")
    op.create_index("job_to_claim", "job", ["status", "run_after", "tenant", "priority", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("job_to_claim", table_name="job")
    op.create_index("job_by_status", "job", ["status", "priority", "id"], unique=False)
    op.drop_table("worker")
