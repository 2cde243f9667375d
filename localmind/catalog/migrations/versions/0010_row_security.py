"""PostgreSQL shows a tenant's rows to those alone who ask for that tenant."""

from alembic import op

from localmind.catalog import row_security

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = (
    "source",
    "source_tag",
    "revision",
    "chunk",
    "extraction",
    "spending",
    "entity",
    "relation",
    "community",
    "community_member",
    "community_state",
    "alias",
    "apart",
    "spelling",
    "definition",
    "unsettled",
    "conversation",
    "message",
    "membership",
    "space",
    "space_member",
    "session",
    "refresh_token",
    "api_key",
    "invitation",
    "login_rule",
    "login_domain",
    "usage",
    "quota",
    "audit_event",
    "audit_chain",
    "audit_person",
    "retention",
    "erasure",
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table in TABLES:
            row_security.enable(connection, table)
