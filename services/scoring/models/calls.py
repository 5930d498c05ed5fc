"""Tables of call tasks, call attempts, and pauses of operators."""

from __future__ import annotations

import sqlalchemy as sa

from services.scoring.models.columns import Moment, metadata

call_tasks = sa.Table(
    "call_tasks",
    metadata,
    sa.Column("task_id", sa.Uuid, primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, server_default="survey"),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("outcome", sa.Text),
    sa.Column("step", sa.Integer, nullable=False, server_default="0"),
    sa.Column("phone", sa.Text, nullable=False, server_default=""),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("script", sa.Text, nullable=False, server_default=""),
    sa.Column("summary", sa.Text, nullable=False, server_default=""),
    sa.Column("time_zone", sa.Text, nullable=False, server_default="UTC"),
    sa.Column("window_start", sa.Time),
    sa.Column("window_end", sa.Time),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("max_attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("appointed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("due_until", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("leased_by", sa.Text),  # the name that `leased_by_id` had then
    sa.Column("lease_until", Moment),  # by the database clock
    sa.Column("taken_at", Moment),  # by the business clock, as the next ones
    sa.Column("taken_from", sa.Text),  # the operator who had the call until a supervisor took it over
    sa.Column("closed_at", Moment),  # NULL in rows that were closed before the column
    sa.Column("language", sa.Text, nullable=False, server_default=""),  # without a region; "": not known
    sa.Column("leased_by_id", sa.Uuid),  # of the operator
    sa.Index("call_tasks_due", "due_at", postgresql_where=sa.text("state = 'open'")),
    sa.Index(  # the order in which operators get calls
        "call_tasks_next",
        sa.text("(kind = 'callback') DESC"),
        sa.text("appointed DESC"),
        sa.text("priority DESC"),
        "due_at",
        "task_id",
        postgresql_where=sa.text("state = 'open'"),
    ),
    sa.Index("call_tasks_invitation", "invitation_id"),
    sa.Index(
        "call_tasks_callback",
        "invitation_id",
        unique=True,
        postgresql_where=sa.text("kind = 'callback' AND state = 'open'"),
    ),
    sa.Index(  # of the version before
        "call_tasks_held", "leased_by", postgresql_where=sa.text("lease_until IS NOT NULL")
    ),
    sa.Index("call_tasks_holder", "leased_by_id", postgresql_where=sa.text("lease_until IS NOT NULL")),
    sa.Index(
        "call_tasks_promised",
        "due_at",
        postgresql_where=sa.text("state = 'open' AND (kind = 'callback' OR appointed)"),
    ),
    sa.Index("call_tasks_closed", "closed_at"),
)

call_lists = sa.Table(  # calls given out to an outside call centre
    "call_lists",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("owner_id", sa.Uuid, nullable=False),  # the centre's API key, or a person of the staff
    sa.Column("centre", sa.Text, nullable=False),  # the owner's name, under which calls are held
    sa.Column("expires_at", Moment, nullable=False),  # by the database clock
    sa.Index("call_lists_expires", "expires_at"),
)

listed_calls = sa.Table(
    "listed_calls",
    metadata,
    sa.Column(
        "list_id",
        sa.Uuid,
        sa.ForeignKey("call_lists.id", name="listed_calls_list_id_fkey", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("task_id", sa.Uuid, primary_key=True),
)

call_attempts = sa.Table(
    "call_attempts",
    metadata,
    sa.Column("task_id", sa.Uuid, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("disposition", sa.Text, nullable=False),
    sa.Column("operator", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("operator_id", sa.Uuid),
    sa.Index("call_attempts_at", "at"),
)

desk_pauses = sa.Table(
    "desk_pauses",
    metadata,
    sa.Column("pause_id", sa.Uuid, primary_key=True),
    sa.Column("operator", sa.Text, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("operator_id", sa.Uuid),
    sa.Index(  # which the version before needs to begin a pause
        "desk_pauses_open", "operator", unique=True, postgresql_where=sa.text("ended_at IS NULL")
    ),
    sa.Index("desk_pauses_of", "operator_id", postgresql_where=sa.text("ended_at IS NULL")),
    sa.Index("desk_pauses_ended", "ended_at"),
)
