"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
oldest_reader = "0001"  # the oldest revision whose code works on this schema

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_messaging()
    op.create_table(
        "programs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("document", JSONB, nullable=False),
        sa.Column("applied_at", TIME, nullable=False),
    )
    _create_people()
    _create_decisions()
    _create_counters()
    _create_doors()


def _create_messaging() -> None:
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
        sa.Column("seen_at", TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "parked",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("topic", "position", "key", "headers")),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("parked_at", TIME, nullable=False, server_default=sa.func.now()),
        # a topic made anew counts from 0 again, so the position alone does not tell two messages apart
        sa.Index("parked_once", "topic", "position", sa.text("md5(body)"), unique=True),
    )


def _create_people() -> None:
    op.create_table(
        "respondents",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text) for name in ("customer_id", "name", "email", "phone", "locale", "time_zone")),
        sa.Column("consent", JSONB, nullable=False, server_default="{}"),
        sa.Column("attributes", JSONB, nullable=False, server_default="{}"),
        sa.Column("purchases", sa.Integer, nullable=False, server_default="0"),
        sa.Column("first_purchase_at", TIME),
        sa.Column("last_purchase_at", TIME),
        sa.Column("known_at", TIME),
        sa.Column("last_answered_at", TIME),
        sa.Column("last_category", sa.Text),
        sa.Column("last_score", sa.Integer),
        sa.Column("moments", JSONB, nullable=False, server_default="{}"),
        sa.Column("erased_at", TIME),
        sa.Column("spread", sa.Integer, nullable=False),
        sa.Index("respondents_spread", "spread", "id"),
    )
    op.create_table(
        "suppressions",
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("program", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until", TIME),
        sa.UniqueConstraint(
            "respondent_id",
            "channel",
            "program",
            "reason",
            name="suppressions_once",
            postgresql_nulls_not_distinct=True,
        ),
    )


def _create_decisions() -> None:
    op.create_table(
        "touchpoints",
        sa.Column("respondent_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("ref", sa.Text, primary_key=True),
        sa.Column("source", sa.Text),
        sa.Column("event_id", sa.Text),
        sa.Column("invitation_id", sa.Uuid),
        sa.Column("program_id", sa.Text),
        sa.Column("state", sa.Text),
        sa.Column("reversed_at", TIME),
        sa.Column("delivered_at", TIME),
        sa.Column("details", JSONB),
        sa.Index(
            "touchpoints_invitation",
            "invitation_id",
            unique=True,
            postgresql_where=sa.text("invitation_id IS NOT NULL"),
        ),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("event_time", TIME, nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("program_id", sa.Text),
        sa.Column("program_version", sa.Integer),
        sa.Column("invitation_id", sa.Uuid),
        sa.Column("trail", JSONB, nullable=False),
        sa.UniqueConstraint("event_id", "source", name="decisions_once"),
        sa.Index("decisions_respondent", "respondent_id", "id"),
    )


def _create_counters() -> None:
    op.create_table(
        "quotas",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("program_id", "name", "value")),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("used", sa.Integer, nullable=False),
    )
    op.create_table(
        "cadences",
        sa.Column("program_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("after_spread", sa.Integer),
        sa.Column("after_id", sa.Text),
    )


def _create_doors() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
    )
    op.create_table(
        "rereads",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("ref", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due_at", TIME, nullable=False, server_default=sa.func.now(), index=True),
    )
    op.create_table(
        "files",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "files",
        "rereads",
        "api_keys",
        "cadences",
        "quotas",
        "decisions",
        "touchpoints",
        "suppressions",
        "respondents",
        "programs",
    ):
        op.drop_table(table)
    for table in ("parked", "inbox", "outbox"):
        op.drop_table(table)
