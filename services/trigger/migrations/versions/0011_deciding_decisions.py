"""A compact touchpoint names its decision, which has the event, the invitation and the program.

An index of invitations has only the touchpoints of before, since an invitation names its respondent.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
oldest_reader = "0001"

BACK = """UPDATE touchpoints AS t SET source = d.source, event_id = d.event_id, invitation_id = d.invitation_id,
    program_id = CASE WHEN d.invitation_id IS NOT NULL THEN coalesce(s.document->>'program_id', d.program_id) END
FROM decisions AS d LEFT JOIN shapes AS s ON s.digest = d.shape WHERE d.id = t.decision_id"""


def upgrade() -> None:
    op.add_column("touchpoints", sa.Column("decision_id", sa.Uuid))


def downgrade() -> None:
    op.execute(BACK)
    op.drop_column("touchpoints", "decision_id")
