"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
oldest_reader = "0001"  # the oldest revision whose code works on this schema

INSTANT = sa.DateTime(timezone=True)
HOT = ("invitations", "steps")


def upgrade() -> None:
    create_messaging()
    create_invitations()
    create_steps()
    create_attempts()
    create_receipts()
    create_crm_tasks()
    create_suppressions()
    create_early()
    create_consents()
    create_mailbox()
    create_allowance()
    for table in HOT:
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000)"
        )


def downgrade() -> None:
    tables = ("allowance", "mailbox", "consents", "early", "suppressions", "crm_tasks", "receipts", "attempts")
    for table in (*tables, *reversed(HOT)):
        op.drop_table(table)
    for table in ("parked", "inbox", "outbox"):
        op.drop_table(table)


def create_messaging() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("topic", "key", "headers")),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.execute("ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)")
    op.create_table(
        "inbox",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("group_name", "event_id")),
        sa.Column("seen_at", INSTANT, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "parked",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("topic", "position", "key", "headers")),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("parked_at", INSTANT, nullable=False, server_default=sa.func.now()),
        # a topic made anew counts from 0 again, so the position alone does not tell two messages apart
        sa.Index("parked_once", "topic", "position", sa.text("md5(body)"), unique=True),
    )


def create_invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("outcome", sa.Text),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("unsubscribe", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.CheckConstraint("(state = 'closed') = (outcome IS NOT NULL)", name="invitations_outcome"),
        sa.Index("invitations_respondent", "respondent_id"),
        sa.Index("invitations_unsubscribe", "unsubscribe", unique=True),
        sa.Index("invitations_expiry", "expires_at", postgresql_where=sa.text("state = 'open'")),
        sa.Index("invitations_outcome_newest", sa.text("coalesce(outcome, state)"), "id"),
        postgresql_with={"fillfactor": "80"},
    )


def create_steps() -> None:
    op.create_table(
        "steps",
        sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("delay_s", sa.BigInteger, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("token", sa.Uuid),
        sa.Column("leased_until", INSTANT),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("call_task", sa.Uuid),
        sa.Index("steps_due", "channel", "due_at", postgresql_where=sa.text("state = 'planned'")),
        sa.Index("steps_calls", "call_task", postgresql_where=sa.text("call_task IS NOT NULL")),
        sa.Index("steps_running", "leased_until", postgresql_where=sa.text("leased_until IS NOT NULL")),
        postgresql_with={"fillfactor": "70"},
    )


def create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("try", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("provider_message_id", sa.Text),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("segments", sa.Integer),
        sa.Column("cost", sa.Numeric),
        sa.Column("currency", sa.Text),
        sa.Column("phone", sa.LargeBinary),
        sa.Column("asked", sa.Integer, nullable=False, server_default="0"),
        sa.Column("ask_at", INSTANT),
        sa.Index("attempts_once", "invitation_id", "step", "try", unique=True),
        sa.Index(
            "attempts_message", "provider_message_id", postgresql_where=sa.text("provider_message_id IS NOT NULL")
        ),
        sa.Index("attempts_phone", "phone", postgresql_where=sa.text("phone IS NOT NULL")),
        sa.Index("attempts_unknown", "ask_at", postgresql_where=sa.text("state = 'unknown' AND ask_at IS NOT NULL")),
    )


def create_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("invitation_id", sa.Uuid),
        sa.Column("step", sa.Integer),
        sa.Column("message_id", sa.Text),
        sa.Column("phone", sa.LargeBinary),
        sa.Column("looks", sa.Integer, nullable=False, server_default="0"),
        sa.Column("look_at", INSTANT, server_default=sa.text("clock_timestamp()")),
        sa.Column("stored_at", INSTANT, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Index("receipts_once", "provider", "key", unique=True),
        sa.Index("receipts_due", "look_at", postgresql_where=sa.text("look_at IS NOT NULL")),
        sa.Index("receipts_age", "stored_at"),
    )


def create_crm_tasks() -> None:
    op.create_table(
        "crm_tasks",
        sa.Column("call_task", sa.Uuid, primary_key=True),
        sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("number", sa.Text),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("look_at", INSTANT, server_default=sa.text("clock_timestamp()")),
        sa.Column("finished_at", INSTANT),
        sa.Index("crm_tasks_due", "look_at", postgresql_where=sa.text("look_at IS NOT NULL")),
        sa.Index("crm_tasks_open", "number", postgresql_where=sa.text("finished_at IS NULL")),
    )


def create_suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("program", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until", INSTANT),
        sa.Column("address", sa.LargeBinary),
        sa.Column("at", INSTANT, nullable=False),
        sa.Index(
            "suppressions_once",
            "respondent_id",
            "channel",
            "program",
            "reason",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        sa.Index("suppressions_end", "until", postgresql_where=sa.text("until IS NOT NULL")),
    )


def create_early() -> None:
    op.create_table(
        "early",
        sa.Column("invitation_id", sa.Uuid, primary_key=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
    )


def create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("respondent_id", sa.Text, primary_key=True),
        sa.Column("consent", JSONB, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
    )


def create_mailbox() -> None:
    op.create_table(
        "mailbox",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("cursor", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Index("mailbox_cursor", "cursor", unique=True),
        sa.Index("mailbox_once", "invitation_id", "step", unique=True),
    )
    # compressing a mail that is kept cost half the time of keeping it
    op.execute("ALTER TABLE mailbox ALTER COLUMN body SET STORAGE EXTERNAL")


def create_allowance() -> None:
    op.create_table(
        "allowance",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
    )
