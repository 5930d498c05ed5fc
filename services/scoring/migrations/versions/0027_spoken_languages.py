"""The language of a call, and the languages that people speak on the phone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0027"
down_revision = "0026"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("call_tasks", sa.Column("language", sa.Text, nullable=False, server_default=""))
    op.add_column("people", sa.Column("spoken", ARRAY(sa.Text), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Delete the languages."""
    op.drop_column("people", "spoken")
    op.drop_column("call_tasks", "language")
