"""Lists of calls that outside call centres make; indexes with which many waiting calls are as fast as few."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
oldest_reader = "0001"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "call_lists",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner_id", sa.Uuid, nullable=False),
        sa.Column("centre", sa.Text, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
    )
    op.create_index("call_lists_expires", "call_lists", ["expires_at"])
    op.create_table(
        "listed_calls",
        sa.Column(
            "list_id",
            sa.Uuid,
            sa.ForeignKey("call_lists.id", name="listed_calls_list_id_fkey", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("task_id", sa.Uuid, primary_key=True),
    )
    op.create_index(
        "call_tasks_next",
        "call_tasks",
        [sa.text("(kind = 'callback') DESC"), sa.text("appointed DESC"), sa.text("priority DESC"), "due_at", "task_id"],
        postgresql_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    """Delete the lists; the calls in them stay reserved until the lists would have expired."""
    op.drop_index("call_tasks_next", "call_tasks")
    op.drop_table("listed_calls")
    op.drop_table("call_lists")
