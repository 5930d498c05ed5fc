"""The daily ceiling counts for all processes together; kept messages are not compressed, which cost half their time."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "allowance",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
    )
    op.drop_index("attempts_at", "attempts")
    op.execute("ALTER TABLE mailbox ALTER COLUMN body SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute("ALTER TABLE mailbox ALTER COLUMN body SET STORAGE EXTENDED")
    op.create_index("attempts_at", "attempts", ["at", "provider"])
    op.drop_table("allowance")
