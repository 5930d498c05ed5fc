"""Whether a program asks and sends, for pages that say so."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("programs", sa.Column("state", sa.Text))


def downgrade() -> None:
    """Delete the states."""
    op.drop_column("programs", "state")
