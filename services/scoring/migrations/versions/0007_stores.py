"""The list of stores, and what each of them is called in events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "stores",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("region", sa.Text),
        sa.Column("time_zone", sa.Text),
        sa.Column("hours", JSONB, nullable=False),
        sa.Column("manager", sa.Text),
        sa.Column("deputy", sa.Text),
        sa.Column("review_links", JSONB, nullable=False),
        sa.Column("closed_since", sa.Date),
    )
    op.create_table(
        "store_names",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("code", sa.Text, sa.ForeignKey("stores.code", ondelete="CASCADE"), nullable=False),
        sa.Index("store_names_code", "code"),
    )


def downgrade() -> None:
    """Delete the list; figures of before are as they were."""
    op.drop_table("store_names")
    op.drop_table("stores")
