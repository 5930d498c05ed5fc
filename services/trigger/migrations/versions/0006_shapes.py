"""What many decisions and touchpoints have in common is stored once; older rows stay as they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "shapes",
        sa.Column("digest", sa.Uuid, primary_key=True),
        sa.Column("document", JSONB, nullable=False),
    )
    for table in ("decisions", "touchpoints"):
        op.add_column(table, sa.Column("shape", sa.Uuid))
        op.add_column(table, sa.Column("own_values", JSONB))


def downgrade() -> None:
    for table in ("decisions", "touchpoints"):
        op.drop_column(table, "own_values")
        op.drop_column(table, "shape")
    op.drop_table("shapes")
