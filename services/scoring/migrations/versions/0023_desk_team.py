"""Pauses of operators, who took over a call, since when somebody is on it, and when it was closed."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
oldest_reader = "0001"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "desk_pauses",
        sa.Column("pause_id", sa.Uuid, primary_key=True),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT),
    )
    op.create_index(
        "desk_pauses_open", "desk_pauses", ["operator"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index("desk_pauses_ended", "desk_pauses", ["ended_at"])
    for column in (
        sa.Column("taken_at", _MOMENT),
        sa.Column("taken_from", sa.Text),
        sa.Column("closed_at", _MOMENT),
    ):
        op.add_column("call_tasks", column)
    op.create_index("call_tasks_held", "call_tasks", ["leased_by"], postgresql_where=sa.text("lease_until IS NOT NULL"))
    op.create_index(
        "call_tasks_promised",
        "call_tasks",
        ["due_at"],
        postgresql_where=sa.text("state = 'open' AND (kind = 'callback' OR appointed)"),
    )
    op.create_index("call_tasks_closed", "call_tasks", ["closed_at"])
    op.create_index("call_attempts_at", "call_attempts", ["at"])


def downgrade() -> None:
    """Delete the pauses, and what is known of calls that were taken over or closed."""
    op.drop_index("call_attempts_at", "call_attempts")
    for index in ("call_tasks_closed", "call_tasks_promised", "call_tasks_held"):
        op.drop_index(index, "call_tasks")
    for column in ("closed_at", "taken_from", "taken_at"):
        op.drop_column("call_tasks", column)
    op.drop_table("desk_pauses")
