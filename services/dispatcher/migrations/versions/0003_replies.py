"""What respondents write back, by mail or text message, until somebody has read it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0003"
down_revision = "0002"
oldest_reader = "0001"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "replies",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("invitation_id", UUID, sa.ForeignKey("invitations.id", ondelete="CASCADE")),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("asks", sa.Text),
        sa.Column("at", instant, nullable=False),
        sa.Column("read_at", instant),
        sa.Column("stored_at", instant, nullable=False, server_default=sa.text("clock_timestamp()")),
    )
    op.create_index("replies_once", "replies", ["provider", "key"], unique=True)
    op.create_index("replies_invitation", "replies", ["invitation_id"])
    op.create_index("replies_sender", "replies", ["sender"])
    op.create_index("replies_age", "replies", ["stored_at"])
    op.create_index("replies_unread", "replies", ["id"], postgresql_where=sa.text("read_at IS NULL"))


def downgrade() -> None:
    op.drop_table("replies")
