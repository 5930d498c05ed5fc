"""The channels over which the customer of an invitation allows offers and requests for a review."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("invitations", sa.Column("offers", JSONB))


def downgrade() -> None:
    """Delete which customers allow offers."""
    op.drop_column("invitations", "offers")
