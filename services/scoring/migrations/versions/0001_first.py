"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
oldest_reader = "0001"  # the oldest revision whose code works on this schema

MOMENT = sa.DateTime(timezone=True)
COUNTERS = [
    *(f"s{score}" for score in range(11)),
    *("operators", "suspects", "imported", "operator_promoters", "operator_detractors"),
]
# hot rows are updated in place: leave room on their pages, and clean them early
HOT = "SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"

BENCHMARKS = [
    {"name": name, "nps": nps, "source": "A commonly quoted industry average; replace it with one you can check"}
    for name, nps in (("Restaurants", 20), ("Construction", 15), ("Car sales", 60))
]
# what docs/sql.md promises to those who read with SQL: names and meanings stay
VIEWS = {
    "answers_v": """SELECT a.answer_id, a.invitation_id, i.customer_id, i.program, i.program_version, a.version,
a.score, CASE WHEN a.score >= 9 THEN 'promoter' WHEN a.score >= 7 THEN 'passive' ELSE 'detractor' END AS category,
a.reasons, a.comment, a.extra, i.segments, a.mode, a.step, a.channel, a.suspect, NOT i.counted AS test, a.answered_at,
a.first_day AS day FROM answers a JOIN invitations i ON i.id = a.invitation_id""",
    "nps_v": """SELECT program, dimension, value, day, coalesce(n, 0) AS n, coalesce(promoters, 0) AS promoters,
coalesce(passives, 0) AS passives, coalesce(detractors, 0) AS detractors,
round(100.0 * (promoters - detractors) / nullif(n, 0), 2) AS nps,
coalesce(by_score, '{0,0,0,0,0,0,0,0,0,0,0}') AS by_score, coalesce(operators, 0) AS operators,
coalesce(imported, 0) AS imported, coalesce(suspects, 0) AS suspects, coalesce(invited, 0) AS invited,
coalesce(answered, 0) AS answered
FROM (SELECT program, dimension, value, day, s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 AS n,
s9 + s10 AS promoters, s7 + s8 AS passives, s0 + s1 + s2 + s3 + s4 + s5 + s6 AS detractors,
ARRAY[s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10] AS by_score, operators, imported, suspects FROM buckets) b
FULL JOIN (SELECT program, dimension, value, day, invited, answered FROM invited) i
USING (program, dimension, value, day)""",
}

TABLES = """webhook_deliveries webhook_endpoints alert_days alerts call_attempts call_tasks outcomes attempts
page_views changes benchmarks targets annotations purchases journeys_pending journey_parts journeys
dimension_values invited buckets answer_versions answers withdrawn invitations contents programs
parked inbox outbox"""


def upgrade() -> None:
    _create_messaging()
    _create_invitations()
    _create_withdrawn()
    _create_answers()
    _create_series("buckets", COUNTERS)
    _create_series("invited", ["invited", "answered"])
    _create_dimensions()
    _create_journeys()
    _create_yardsticks()
    _create_observations()
    _create_calls()
    _create_alerts()
    _create_webhooks()
    _create_views()


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    for table in TABLES.split():
        op.drop_table(table)


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
        sa.Column("seen_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "parked",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("topic", "position", "key", "headers")),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("parked_at", MOMENT, nullable=False, server_default=sa.func.now()),
        # a topic made anew counts from 0 again, so the position alone does not tell two messages apart
        sa.Index("parked_once", "topic", "position", sa.text("md5(body)"), unique=True),
    )


def _create_invitations() -> None:
    op.create_table(
        "programs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", JSONB, nullable=False),
    )
    op.create_table(
        "contents",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("document", JSONB, nullable=False),
    )
    op.create_table(
        "invitations",
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
        sa.Column("dimensions", JSONB, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("invited_day", sa.Date, nullable=False),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("opted_out_at", MOMENT),
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


def _create_withdrawn() -> None:
    op.create_table("withdrawn", sa.Column("invitation_id", sa.Uuid, primary_key=True))


def _said() -> list[sa.Column[object]]:
    return [
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("extra", JSONB, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("suspect", sa.Boolean, nullable=False),
        sa.Column("answered_at", MOMENT, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("callback_wanted", sa.Boolean, nullable=False),
    ]


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("invitation_id", sa.Uuid, primary_key=True),
        sa.Column("answer_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        *_said(),
        sa.Index("answers_answer", "answer_id", unique=True),
        sa.Index("answers_answered", "answered_at"),
        sa.Index("answers_day", "first_day"),
        sa.Index("answers_commented", "answered_at", postgresql_where=sa.text("comment IS NOT NULL")),
        sa.Index("answers_suspect", "answered_at", postgresql_where=sa.text("suspect")),
    )
    op.create_table(
        "answer_versions",
        sa.Column("answer_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        *_said(),
        sa.Column("operator", sa.Text),
        sa.Column("suspicion", sa.Text),
    )


def _create_series(name: str, counters: list[str]) -> None:
    op.create_table(
        name,
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        *(sa.Column(counter, sa.Integer, nullable=False, server_default="0") for counter in counters),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("published_revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Index(f"{name}_unpublished", "program", postgresql_where=sa.text("revision > published_revision")),
    )
    op.execute(f"ALTER TABLE {name} {HOT}")


def _create_dimensions() -> None:
    op.create_table(
        "dimension_values",
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
    )


def _create_journeys() -> None:
    op.create_table(
        "journeys",
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("stage", sa.Text, primary_key=True),
        sa.Column("detail", sa.Text, primary_key=True),
        sa.Column("amount", sa.Numeric, nullable=False, server_default="0"),
    )
    op.execute(f"ALTER TABLE journeys {HOT}")
    op.create_table(
        "journey_parts",
        sa.Column("invitation_id", sa.Uuid, primary_key=True),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("parts", JSONB, nullable=False),
    )
    op.create_table(
        "journeys_pending",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("invitation_id", sa.Uuid, nullable=False),
    )
    op.create_table(
        "purchases",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("amount", sa.Numeric),
        sa.Column("currency", sa.Text),
        sa.Index("purchases_respondent", "respondent_id"),
    )


def _create_yardsticks() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("program", sa.Text),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "targets",
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("nps", sa.Integer, nullable=False),
    )
    benchmarks = op.create_table(
        "benchmarks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("nps", sa.Integer, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
    )
    op.bulk_insert(benchmarks, BENCHMARKS)
    op.create_table(
        "changes",
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="1"),
    )


def _create_observations() -> None:
    op.create_table(
        "page_views",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("invitation_id", sa.Uuid, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("score", sa.SmallInteger),
        sa.Column("automatic", sa.Boolean, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Index("page_views_invitation", "invitation_id", "at"),
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Uuid, primary_key=True),
        sa.Column("invitation_id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Index("attempts_invitation", "invitation_id"),
    )
    op.create_table(
        "outcomes",
        sa.Column("invitation_id", sa.Uuid, primary_key=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )


def _create_calls() -> None:
    op.create_table(
        "call_tasks",
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
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("due_until", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("leased_by", sa.Text),
        sa.Column("lease_until", MOMENT),
        sa.Index("call_tasks_due", "due_at", postgresql_where=sa.text("state = 'open'")),
        sa.Index("call_tasks_invitation", "invitation_id"),
        sa.Index(
            "call_tasks_callback",
            "invitation_id",
            unique=True,
            postgresql_where=sa.text("kind = 'callback' AND state = 'open'"),
        ),
    )
    op.create_table(
        "call_attempts",
        sa.Column("task_id", sa.Uuid, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("disposition", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("period", sa.Date, primary_key=True),
    )
    op.create_table("alert_days", sa.Column("day", sa.Date, primary_key=True))


def _create_webhooks() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", JSONB, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_until", MOMENT),
        sa.Column("disabled", sa.Text),
        sa.Column("succeeded_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.clock_timestamp()),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("endpoint_id", sa.Uuid, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="due"),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due_at", MOMENT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("outcome", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Index("webhook_deliveries_due", "endpoint_id", "due_at", postgresql_where=sa.text("state = 'due'")),
        sa.Index("webhook_deliveries_subject", "subject"),
    )
    op.execute(
        "ALTER TABLE webhook_deliveries SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)"
    )


def _create_views() -> None:
    for view, query in VIEWS.items():
        op.execute(f"CREATE VIEW {view} AS {query}")
