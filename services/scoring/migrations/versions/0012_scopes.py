"""What a person sees of the chain, and the revision that tickets are compared with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0012"
down_revision = "0011"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("people", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    for name in ("programs", "stores", "regions"):
        op.add_column("people", sa.Column(name, ARRAY(sa.Text), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Everybody sees everything again."""
    for name in ("regions", "stores", "programs", "revision"):
        op.drop_column("people", name)
