"""An e-mail address of people, to which one-time links may be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("people", sa.Column("email", sa.Text))


def downgrade() -> None:
    """Delete the addresses."""
    op.drop_column("people", "email")
