"""What was left out of a decided event, and when a customer's details were taken away."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("ignored", JSONB))
    op.add_column("respondents", sa.Column("cleared", JSONB))


def downgrade() -> None:
    op.drop_column("respondents", "cleared")
    op.drop_column("decisions", "ignored")
