"""Compact rows: what invitations share is stored once, and how far each one came is one row instead of ten.

Nothing is rewritten: rows of before stay as they are. Where there are any, invitations and answers are written as
before for one more day, so that processes of the version before can read them meanwhile.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
oldest_reader = "0001"

_SHARED = {
    "program_version": sa.Integer,
    "program_title": sa.Text,
    "locale": sa.Text,
    "time_zone": sa.Text,
    "program_zone": sa.Text,
}
_OWN = {**_SHARED, "customer_id": sa.Text, "segments": JSONB}  # null in a compact row
_SINCE = """INSERT INTO compact_rows (since) SELECT CASE WHEN EXISTS (SELECT FROM invitations)
THEN now() + interval '1 day' ELSE '-infinity' END"""
_DETAILS = """CREATE VIEW invitation_details AS SELECT i.id, i.fingerprint, i.respondent_id,
coalesce(i.customer_id, i.respondent_id) AS customer_id, i.name, i.phone, i.program,
coalesce(i.program_version, c.program_version) AS program_version,
coalesce(i.program_title, c.program_title) AS program_title, coalesce(i.locale, c.locale) AS locale,
coalesce(i.time_zone, c.time_zone) AS time_zone, coalesce(i.program_zone, c.program_zone) AS program_zone,
i.occasion, i.content, c.document, coalesce(i.segments, i.dimensions - 'version') AS segments, i.dimensions,
i.expires_at, i.invited_day, i.counted, i.test, i.state, i.opted_out_at
FROM invitations i LEFT JOIN contents c ON c.digest = i.content"""
_ANSWERS = """CREATE OR REPLACE VIEW answers_v AS SELECT a.answer_id, a.invitation_id,
CASE WHEN i.state = 'erased' THEN i.respondent_id ELSE i.customer_id END AS customer_id, i.program, i.program_version,
a.version, a.score,
CASE WHEN a.score >= 9 THEN 'promoter' WHEN a.score >= 7 THEN 'passive' ELSE 'detractor' END AS category,
a.reasons, a.comment, a.extra, i.segments, a.mode, a.step, a.channel, a.suspect,
coalesce(i.test, NOT i.counted) AS test, a.answered_at, a.first_day AS day, i.respondent_id,
{source} AS event_source, {id} AS event_id, {subject} AS event_subject
FROM answers a JOIN {invitations} i ON i.id = a.invitation_id"""
_KEYS = {"source": 0, "id": 1, "subject": 4}  # places in the array of a compact row
# the version before puts invitations into this view and never finds one there, so that only this version counts
_PENDING = "CREATE VIEW journeys_pending AS SELECT id, invitation_id FROM uncounted WHERE false"

_WIDE_OCCASION = """jsonb_build_object('source', occasion->0, 'id', occasion->1, 'type', occasion->2, 'time',
occasion->3, 'subject', occasion->4, 'amount', occasion->5, 'currency', occasion->6, 'number', occasion->7)"""
_WIDEN = f"""UPDATE invitations i SET customer_id = d.customer_id, program_version = d.program_version,
program_title = d.program_title, locale = d.locale, time_zone = d.time_zone, program_zone = d.program_zone,
segments = d.segments,
occasion = CASE jsonb_typeof(i.occasion) WHEN 'array' THEN {_WIDE_OCCASION.replace("occasion->", "i.occasion->")}
ELSE i.occasion END FROM invitation_details d WHERE d.id = i.id AND i.program_title IS NULL"""  # noqa: S608 - constants
_FIRST_VERSIONS = """INSERT INTO answer_versions SELECT answer_id, version, score, reasons, comment, extra, mode, step,
channel, suspect, answered_at, first_day, device, callback_wanted, operator, suspicion
FROM answers WHERE version = 1 ON CONFLICT DO NOTHING"""


def upgrade() -> None:
    op.create_table("compact_rows", sa.Column("since", sa.DateTime(timezone=True), primary_key=True))
    op.execute(_SINCE)
    for name, kind in _SHARED.items():
        op.add_column("contents", sa.Column(name, kind))
    for name in _OWN:
        op.alter_column("invitations", name, nullable=True)
    for name in ("operator", "suspicion"):
        op.add_column("answers", sa.Column(name, sa.Text))
    op.execute("ALTER INDEX invitations_dimensions SET (gin_pending_list_limit = 256)")
    op.create_table(
        "progress",
        sa.Column("invitation_id", sa.Uuid, primary_key=True),
        sa.Column("attempts", sa.LargeBinary),
        sa.Column("outcome", sa.Text),
        sa.Column("counted", sa.LargeBinary),
    )
    op.create_table(
        "part_numbers",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Index("part_numbers_part", "stage", "detail", unique=True),
    )
    op.rename_table("journeys_pending", "uncounted")
    op.execute("ALTER TABLE uncounted RENAME CONSTRAINT journeys_pending_pkey TO uncounted_pkey")
    op.execute(_PENDING)
    op.execute(_DETAILS)
    parts = {
        name: f"CASE jsonb_typeof(i.occasion) WHEN 'array' THEN i.occasion->>{place} ELSE i.occasion->>'{name}' END"
        for name, place in _KEYS.items()
    }
    op.execute(_ANSWERS.format(invitations="invitation_details", **parts))


def downgrade() -> None:
    """Make all rows those of before; contact attempts and outcomes stored since are lost, and counted again without."""
    op.execute(_WIDEN)
    op.execute(_FIRST_VERSIONS)
    parts = {name: f"i.occasion->>'{name}'" for name in _KEYS}
    op.execute(_ANSWERS.format(invitations="invitations", **parts))
    for view in ("invitation_details", "journeys_pending"):
        op.execute(f"DROP VIEW {view}")
    op.rename_table("uncounted", "journeys_pending")
    op.execute("ALTER TABLE journeys_pending RENAME CONSTRAINT uncounted_pkey TO journeys_pending_pkey")
    op.execute("TRUNCATE journeys, journey_parts")
    op.execute("INSERT INTO journeys_pending (invitation_id) SELECT id FROM invitations")
    op.drop_table("part_numbers")
    op.drop_table("progress")
    op.execute("ALTER INDEX invitations_dimensions RESET (gin_pending_list_limit)")
    for name in ("operator", "suspicion"):
        op.drop_column("answers", name)
    for name in _OWN:
        op.alter_column("invitations", name, nullable=False)
    for name in _SHARED:
        op.drop_column("contents", name)
    op.drop_table("compact_rows")
