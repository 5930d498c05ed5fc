"""Checks the bound of the ids of decisions: this reads the whole table, while everybody goes on reading and writing."""

from alembic import op

revision = "0008"
down_revision = "0007"
oldest_reader = "0001"

_CHECK = "ALTER TABLE decisions ADD CONSTRAINT decisions_first_ids CHECK (id < decisions_first_until()) NOT VALID"


def upgrade() -> None:
    op.execute("ALTER TABLE decisions VALIDATE CONSTRAINT decisions_first_ids")


def downgrade() -> None:
    op.execute("ALTER TABLE decisions DROP CONSTRAINT decisions_first_ids")
    op.execute(_CHECK)
