"""The states of programs: on, off, stopped or withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "program_states",
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("handed_over", sa.Integer, nullable=False, server_default="0"),
    )


def downgrade() -> None:
    """Delete the states, which the version before does not know: it asks and sends for every program."""
    op.drop_table("program_states")
