"""The view of scores has none of single employees."""

from alembic import op

revision = "0017"
down_revision = "0016"
oldest_reader = "0001"

# the adjusted Wald interval at 95 %, as in domain/score.py
_NPS = """CREATE OR REPLACE VIEW nps_v AS SELECT program, dimension, value, day, coalesce(n, 0) AS n,
coalesce(promoters, 0) AS promoters,
coalesce(passives, 0) AS passives, coalesce(detractors, 0) AS detractors,
round(100.0 * (promoters - detractors) / nullif(n, 0), 2) AS nps,
coalesce(by_score, '{{0,0,0,0,0,0,0,0,0,0,0}}') AS by_score, coalesce(operators, 0) AS operators,
coalesce(imported, 0) AS imported, coalesce(suspects, 0) AS suspects, coalesce(invited, 0) AS invited,
coalesce(answered, 0) AS answered,
CASE WHEN counted > 0 THEN round(greatest(least(score - half, plain), -100)::numeric, 2) END AS interval_low,
CASE WHEN counted > 0 THEN round(least(greatest(score + half, plain), 100)::numeric, 2) END AS interval_high
FROM (SELECT program, dimension, value, day, s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 AS n,
s9 + s10 AS promoters, s7 + s8 AS passives, s0 + s1 + s2 + s3 + s4 + s5 + s6 AS detractors,
ARRAY[s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10] AS by_score, operators, imported, suspects FROM buckets{where}) b
FULL JOIN (SELECT program, dimension, value, day, invited, answered FROM invited{where}) i
USING (program, dimension, value, day) CROSS JOIN LATERAL (
SELECT CASE WHEN n > 0 THEN n END AS counted) answers CROSS JOIN LATERAL (
SELECT (promoters + 0.75::float8) / (counted + 3) AS p, (detractors + 0.75::float8) / (counted + 3) AS d,
100 * (promoters - detractors) / counted::float8 AS plain) shares CROSS JOIN LATERAL (
SELECT 100 * (p - d) AS score,
1.959963984540054 * 100 * sqrt(greatest(p + d - (p - d) ^ 2, 0) / (counted + 3)) AS half) estimate"""


def upgrade() -> None:
    op.execute(_NPS.format(where=" WHERE dimension <> 'employee'"))


def downgrade() -> None:
    op.execute(_NPS.format(where=""))
