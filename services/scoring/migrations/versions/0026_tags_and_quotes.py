"""Answers have tags, and may be quoted."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "answer_tags",
        sa.Column("answer_id", sa.Uuid, primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True),
    )
    op.create_table(
        "quotes",
        sa.Column("answer_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("wording", sa.Text, nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
    )
    op.create_index("answer_tags_tag", "answer_tags", ["tag", "answer_id"])


def downgrade() -> None:
    """Delete the tags, and who may be quoted."""
    op.drop_table("quotes")
    op.drop_table("answer_tags")
