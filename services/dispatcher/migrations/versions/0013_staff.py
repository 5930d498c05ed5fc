"""What is known of the staff: the latest revision of each person, and what the person sees."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "staff",
        sa.Column("person", sa.Uuid, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("programs", sa.ARRAY(sa.Text)),
        sa.Column("stores", sa.ARRAY(sa.Text)),
    )


def downgrade() -> None:
    op.drop_table("staff")
