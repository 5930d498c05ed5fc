"""In which hour each API key was used last; a key of before says so with its next use."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("used_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("api_keys", "used_at")
