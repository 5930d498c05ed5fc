"""What an operator noted of a call."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("call_attempts", sa.Column("note", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Delete the notes."""
    op.drop_column("call_attempts", "note")
