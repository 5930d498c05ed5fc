"""A row that the relay leases where the database's URL is pooled by transaction."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0002"
down_revision = "0001"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", UUID),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute("INSERT INTO leases (name, until) VALUES ('relay', '-infinity')")


def downgrade() -> None:
    op.drop_table("leases")
