"""A trail whose only own value is the time of the decision has no values in a compact row.

Rows of before stay as they are.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
oldest_reader = "0001"

BACK = """UPDATE decisions AS d
SET own_values = jsonb_build_array(to_char(d.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
FROM shapes AS s WHERE s.digest = d.shape AND d.own_values IS NULL AND s.document::text LIKE '%{"$": 0}%'"""


def upgrade() -> None:
    """The rows themselves differ."""


def downgrade() -> None:
    op.execute(BACK)
