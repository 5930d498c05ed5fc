"""Whether a survey was a test is stored: `counted` is false for what was withdrawn, too."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_reader = "0001"

# a row of the release before says nothing of `test`: then what is not counted passes for one, as it did
_VIEW = """CREATE OR REPLACE VIEW answers_v AS
SELECT a.answer_id, a.invitation_id, i.customer_id, i.program, i.program_version, a.version,
a.score, CASE WHEN a.score >= 9 THEN 'promoter' WHEN a.score >= 7 THEN 'passive' ELSE 'detractor' END AS category,
a.reasons, a.comment, a.extra, i.segments, a.mode, a.step, a.channel, a.suspect, {test} AS test, a.answered_at,
a.first_day AS day FROM answers a JOIN invitations i ON i.id = a.invitation_id"""


def upgrade() -> None:
    op.add_column("invitations", sa.Column("test", sa.Boolean))
    op.execute("UPDATE invitations SET test = false WHERE state = 'withdrawn'")
    op.execute(_VIEW.format(test="coalesce(i.test, NOT i.counted)"))


def downgrade() -> None:
    op.execute(_VIEW.format(test="NOT i.counted"))
    op.drop_column("invitations", "test")
