"""Programs with their states, the steps of stopped ones, and test messages in the mailbox, which have no invitation."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
oldest_reader = "0001"

_GIVE_BACK = """INSERT INTO due (invitation_id, due_at, step, tries, channel, reason, account)
SELECT invitation_id, due_at, step, tries, channel, reason, account FROM halted ON CONFLICT DO NOTHING"""


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "programs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.Index("programs_stopped", "id", postgresql_where=sa.text("state IN ('stopped', 'withdrawn')")),
    )
    op.create_table(
        "halted",
        sa.Column("invitation_id", sa.Uuid, primary_key=True),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("tries", sa.SmallInteger, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("program", sa.Text, nullable=False),
        sa.Index("halted_program", "program"),
    )
    op.alter_column("mailbox", "invitation_id", nullable=True)


def downgrade() -> None:
    """Give the steps of stopped programs back, which the version before sends, and delete test messages."""
    op.execute("DELETE FROM mailbox WHERE invitation_id IS NULL")
    op.alter_column("mailbox", "invitation_id", nullable=False)
    op.execute(_GIVE_BACK)
    op.drop_table("halted")
    op.drop_table("programs")
