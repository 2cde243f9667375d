"""Who people are to login providers, and which tenants let them in by that."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject"),
    )
    op.create_index("identity_by_user", "identity", ["user_id", "issuer"], unique=True)
    op.create_table(
        "login_rule",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("link_by_email", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    op.create_table(
        "login_domain",
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("domain"),
    )
    op.create_index("login_domain_by_tenant", "login_domain", ["tenant"], unique=False)


def downgrade() -> None:
    for table in ("login_domain", "login_rule", "identity"):
        op.drop_table(table)
