"""How the messages of webhook sources ended that are neither decided nor parked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "arrivals",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("arrivals")
