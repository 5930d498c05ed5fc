"""How those are called who change something here; people of before have no name until they do so again."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("staff", sa.Column("name", sa.Text))


def downgrade() -> None:
    op.drop_column("staff", "name")
