"""The codes by which events name somebody of the staff as who served a customer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0019"
down_revision = "0018"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("people", sa.Column("employees", ARRAY(sa.Text), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Delete which employee codes people have."""
    op.drop_column("people", "employees")
