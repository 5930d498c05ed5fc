"""An order or service is found by the number people know. Those of before are found by their id."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("touchpoints", sa.Column("number", sa.Text))
    op.create_index(
        "touchpoints_number", "touchpoints", ["number"], postgresql_using="hash", postgresql_with={"fillfactor": "90"}
    )


def downgrade() -> None:
    op.drop_column("touchpoints", "number")
