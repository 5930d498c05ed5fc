"""Tables of scoring."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import messaging_tables

metadata = sa.MetaData()
messaging_tables(metadata)

Moment = sa.DateTime(timezone=True)
SCORE_COLUMNS = [f"s{score}" for score in range(11)]
OTHER_COUNTERS = ["operators", "suspects", "imported", "operator_promoters", "operator_detractors"]
COUNTERS = [*SCORE_COLUMNS, *OTHER_COUNTERS]


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _series() -> list[sa.Column[object]]:
    return [
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
    ]


def _revisions() -> list[sa.Column[int]]:
    return [
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("published_revision", sa.BigInteger, nullable=False, server_default="0"),
    ]


def _said() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("extra", JSONB, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("suspect", sa.Boolean, nullable=False),
        sa.Column("answered_at", Moment, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("callback_wanted", sa.Boolean, nullable=False),
    ]


programs = sa.Table(
    "programs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", JSONB, nullable=False),
)

contents = sa.Table(  # what everybody asked by one version of a program in one language reads
    "contents",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("phone", sa.Text, nullable=False),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("program_version", sa.Integer, nullable=False),
    sa.Column("program_title", sa.Text, nullable=False),
    sa.Column("locale", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("program_zone", sa.Text, nullable=False),
    sa.Column("occasion", JSONB, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("segments", JSONB, nullable=False),
    sa.Column("dimensions", JSONB, nullable=False),  # what it is counted under
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("invited_day", sa.Date, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),  # not a test, not withdrawn
    sa.Column("test", sa.Boolean),  # none: of before it was stored
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("opted_out_at", Moment),
    sa.Index("invitations_fingerprint", "fingerprint", unique=True),
    sa.Index("invitations_respondent", "respondent_id"),
    sa.Index("invitations_day", "program", "invited_day"),
    sa.Index(
        "invitations_dimensions",
        "dimensions",
        postgresql_using="gin",
        postgresql_ops={"dimensions": "jsonb_path_ops"},
    ),
)

withdrawn = sa.Table(  # whose request may still come, out of a replay of what was parked
    "withdrawn",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("answer_id", sa.Uuid, nullable=False),
    *_said(),
    sa.Index("answers_answer", "answer_id", unique=True),
    sa.Index("answers_answered", "answered_at"),
    sa.Index("answers_day", "first_day"),
    sa.Index("answers_commented", "answered_at", postgresql_where=sa.text("comment IS NOT NULL")),
    sa.Index("answers_suspect", "answered_at", postgresql_where=sa.text("suspect")),
)

answer_versions = sa.Table(
    "answer_versions",
    metadata,
    sa.Column("answer_id", sa.Uuid, primary_key=True),
    *(column if column.name != "version" else sa.Column("version", sa.Integer, primary_key=True) for column in _said()),
    sa.Column("operator", sa.Text),
    sa.Column("suspicion", sa.Text),
)

buckets = sa.Table(
    "buckets",
    metadata,
    *_series(),
    *(_zero(name) for name in COUNTERS),
    *_revisions(),
    sa.Index("buckets_unpublished", "program", postgresql_where=sa.text("revision > published_revision")),
)

invited = sa.Table(
    "invited",
    metadata,
    *_series(),
    _zero("invited"),
    _zero("answered"),
    *_revisions(),
    sa.Index("invited_unpublished", "program", postgresql_where=sa.text("revision > published_revision")),
)

dimension_values = sa.Table(
    "dimension_values",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("dimension", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
)

# how far the invitations of a day came, and what their respondents bought since
journeys = sa.Table(
    "journeys",
    metadata,
    *_series(),
    sa.Column("stage", sa.Text, primary_key=True),
    sa.Column("detail", sa.Text, primary_key=True),
    sa.Column("amount", sa.Numeric, nullable=False, server_default="0"),
)

journey_parts = sa.Table(
    "journey_parts",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("parts", JSONB, nullable=False),  # what of the journeys' amounts is this invitation's
)

journeys_pending = sa.Table(
    "journeys_pending",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
)

purchases = sa.Table(
    "purchases",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("amount", sa.Numeric),
    sa.Column("currency", sa.Text),
    sa.Index("purchases_respondent", "respondent_id"),
)

annotated = sa.Table(
    "annotations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("program", sa.Text),  # none: all of them
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

targets = sa.Table(  # set by hand; stronger than the one in the program's document
    "targets",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("nps", sa.Integer, nullable=False),
)

benchmarks = sa.Table(
    "benchmarks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("nps", sa.Integer, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
)

# rises with every change of a program's figures, so that a page need not ask for them
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False, server_default="1"),
)

page_views = sa.Table(
    "page_views",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("score", sa.SmallInteger),  # of the link
    sa.Column("automatic", sa.Boolean, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("page_views_invitation", "invitation_id", "at"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("attempt_id", sa.Uuid, primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("attempts_invitation", "invitation_id"),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

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
    sa.Column("leased_by", sa.Text),
    sa.Column("lease_until", Moment),  # machine time
    sa.Index("call_tasks_due", "due_at", postgresql_where=sa.text("state = 'open'")),
    sa.Index("call_tasks_invitation", "invitation_id"),
    sa.Index(
        "call_tasks_callback",
        "invitation_id",
        unique=True,
        postgresql_where=sa.text("kind = 'callback' AND state = 'open'"),
    ),
)

call_attempts = sa.Table(
    "call_attempts",
    metadata,
    sa.Column("task_id", sa.Uuid, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("disposition", sa.Text, nullable=False),
    sa.Column("operator", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("dimension", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("period", sa.Date, primary_key=True),
)

alert_days = sa.Table("alert_days", metadata, sa.Column("day", sa.Date, primary_key=True))

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", JSONB, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("old_secret", sa.Text),
    sa.Column("old_until", Moment),  # machine time
    sa.Column("disabled", sa.Text),  # why; NULL while it is served
    sa.Column("succeeded_at", Moment),
    sa.Column("created_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("endpoint_id", sa.Uuid, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="due"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),  # machine time
    sa.Column("outcome", sa.Text),
    sa.Column("created_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Index("webhook_deliveries_due", "endpoint_id", "due_at", postgresql_where=sa.text("state = 'due'")),
    sa.Index("webhook_deliveries_subject", "subject"),
)
