"""Views of reports: who counts as one customer, the event an answer is about, and the interval of a score."""

from alembic import op

revision = "0004"
down_revision = "0003"
oldest_reader = "0001"

_ANSWERS = """SELECT a.answer_id, a.invitation_id, {customer_id} AS customer_id, i.program, i.program_version,
a.version, a.score,
CASE WHEN a.score >= 9 THEN 'promoter' WHEN a.score >= 7 THEN 'passive' ELSE 'detractor' END AS category,
a.reasons, a.comment, a.extra, i.segments, a.mode, a.step, a.channel, a.suspect,
coalesce(i.test, NOT i.counted) AS test, a.answered_at, a.first_day AS day{more}
FROM answers a JOIN invitations i ON i.id = a.invitation_id"""
_CUSTOMER_ID = "CASE WHEN i.state = 'erased' THEN i.respondent_id ELSE i.customer_id END"
_EVENT = """, i.respondent_id, i.occasion->>'source' AS event_source, i.occasion->>'id' AS event_id,
i.occasion->>'subject' AS event_subject"""

_NPS = """SELECT program, dimension, value, day, coalesce(n, 0) AS n, coalesce(promoters, 0) AS promoters,
coalesce(passives, 0) AS passives, coalesce(detractors, 0) AS detractors,
round(100.0 * (promoters - detractors) / nullif(n, 0), 2) AS nps,
coalesce(by_score, '{{0,0,0,0,0,0,0,0,0,0,0}}') AS by_score, coalesce(operators, 0) AS operators,
coalesce(imported, 0) AS imported, coalesce(suspects, 0) AS suspects, coalesce(invited, 0) AS invited,
coalesce(answered, 0) AS answered{more}
FROM (SELECT program, dimension, value, day, s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 AS n,
s9 + s10 AS promoters, s7 + s8 AS passives, s0 + s1 + s2 + s3 + s4 + s5 + s6 AS detractors,
ARRAY[s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10] AS by_score, operators, imported, suspects FROM buckets) b
FULL JOIN (SELECT program, dimension, value, day, invited, answered FROM invited) i
USING (program, dimension, value, day){joined}"""
_BOUNDS = """,
CASE WHEN counted > 0 THEN round(greatest(least(score - half, plain), -100)::numeric, 2) END AS interval_low,
CASE WHEN counted > 0 THEN round(least(greatest(score + half, plain), 100)::numeric, 2) END AS interval_high"""
# the adjusted Wald interval at 95 %, as in domain/score.py
_ESTIMATE = """ CROSS JOIN LATERAL (
SELECT CASE WHEN n > 0 THEN n END AS counted) answers CROSS JOIN LATERAL (
SELECT (promoters + 0.75::float8) / (counted + 3) AS p, (detractors + 0.75::float8) / (counted + 3) AS d,
100 * (promoters - detractors) / counted::float8 AS plain) shares CROSS JOIN LATERAL (
SELECT 100 * (p - d) AS score,
1.959963984540054 * 100 * sqrt(greatest(p + d - (p - d) ^ 2, 0) / (counted + 3)) AS half) estimate"""


def upgrade() -> None:
    op.execute("CREATE OR REPLACE VIEW answers_v AS " + _ANSWERS.format(customer_id=_CUSTOMER_ID, more=_EVENT))
    op.execute("CREATE OR REPLACE VIEW nps_v AS " + _NPS.format(more=_BOUNDS, joined=_ESTIMATE))


def downgrade() -> None:
    for name in ("answers_v", "nps_v"):
        op.execute(f"DROP VIEW {name}")
    op.execute("CREATE VIEW answers_v AS " + _ANSWERS.format(customer_id="i.customer_id", more=""))
    op.execute("CREATE VIEW nps_v AS " + _NPS.format(more="", joined=""))
