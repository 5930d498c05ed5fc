"""An index of those who stayed silent, for the response rate of every figure; and links to figures that were shared."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0024"
down_revision = "0023"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_index(
        "journeys_ended",
        "journeys",
        ["program", "dimension", "value", "day"],
        postgresql_where=sa.text("stage = 'ended'"),
    )
    op.create_table(
        "shared_views",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("person", sa.Uuid, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("stores", ARRAY(sa.Text)),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_index("shared_views_digest", "shared_views", ["digest"], unique=True)
    op.create_index("shared_views_person", "shared_views", ["person"])


def downgrade() -> None:
    """End all links to figures."""
    op.drop_table("shared_views")
    op.drop_index("journeys_ended", "journeys")
