"""Names that mean the same: merges of entities, what justifies them, and where they stand."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Entities of before have no block until they are named again, or the graph is rebuilt.
    op.add_column("entity", sa.Column("block", sa.String(length=64), server_default="", nullable=False))
    op.create_index("entity_by_block", "entity", ["tenant", "block"], unique=False)
    op.create_table(
        "alias",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("into_key", sa.Text(), nullable=False),
        sa.Column("root_key", sa.Text(), nullable=False),
        sa.Column("root_name", sa.Text(), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key"),
    )
    op.create_index("alias_by_root", "alias", ["tenant", "root_key"], unique=False)
    op.create_table(
        "apart",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", "other"),
    )
    op.create_index("apart_by_other", "apart", ["tenant", "other"], unique=False)
    op.create_table(
        "spelling",
        sa.Column("chunk_pk", BIG_KEY, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("root_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chunk_pk", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("spelling_by_key", "spelling", ["tenant", "key"], unique=False)
    op.create_table(
        "definition",
        sa.Column("chunk_pk", BIG_KEY, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("into_key", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("into_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("chunk_pk", "key", "into_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("definition_by_key", "definition", ["tenant", "key"], unique=False)
    op.create_table(
        "unsettled",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key"),
    )


def downgrade() -> None:
    for table in ("unsettled", "definition", "spelling", "apart", "alias"):
        op.drop_table(table)
    op.drop_index("entity_by_block", table_name="entity")
    op.drop_column("entity", "block")
