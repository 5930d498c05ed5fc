"""People of the staff, their one-time links and their sessions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, UUID

revision = "0009"
down_revision = "0008"
oldest_reader = "0001"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("login", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("roles", ARRAY(sa.Text), nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("off_at", _MOMENT),
        sa.Column("code_secret", sa.Text),
        sa.Column("code_step", sa.BigInteger),
        sa.Column("recovery", ARRAY(sa.LargeBinary), nullable=False, server_default="{}"),
    )
    op.create_table(
        "staff_links",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Index("staff_links_person", "person"),
    )
    op.create_table(
        "staff_sessions",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("begun_at", _MOMENT, nullable=False),
        sa.Column("ends_at", _MOMENT, nullable=False),
        sa.Column("browser", sa.Text, nullable=False),
        sa.Index("staff_sessions_person", "person"),
        sa.Index("staff_sessions_ends_at", "ends_at"),
    )


def downgrade() -> None:
    """Delete the accounts of staff."""
    for table in ("staff_sessions", "staff_links", "people"):
        op.drop_table(table)
