"""Invitations whose answers are anonymous, and a view of answers that does not name those invitations."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
oldest_reader = "0001"

_DETAILS = """CREATE OR REPLACE VIEW invitation_details AS SELECT i.id, i.fingerprint, i.respondent_id,
coalesce(i.customer_id, i.respondent_id) AS customer_id, i.name, i.phone, i.program,
coalesce(i.program_version, c.program_version) AS program_version,
coalesce(i.program_title, c.program_title) AS program_title, coalesce(i.locale, c.locale) AS locale,
coalesce(i.time_zone, c.time_zone) AS time_zone, coalesce(i.program_zone, c.program_zone) AS program_zone,
i.occasion, i.content, c.document, coalesce(i.segments, i.dimensions - 'version') AS segments, i.dimensions,
i.expires_at, i.invited_day, i.counted, i.test, i.state, i.opted_out_at{more}
FROM invitations i LEFT JOIN contents c ON c.digest = i.content"""
_OCCASION = "CASE jsonb_typeof(i.occasion) WHEN 'array' THEN i.occasion->>{place} ELSE i.occasion->>'{name}' END"
_PARTS = {
    name: _OCCASION.format(name=name, place=place) for name, place in {"source": 0, "id": 1, "subject": 4}.items()
}
_ANSWERS = f"""CREATE OR REPLACE VIEW answers_v AS SELECT a.answer_id, {{invitation}} AS invitation_id,
CASE WHEN i.state = 'erased' THEN i.respondent_id ELSE i.customer_id END AS customer_id, i.program, i.program_version,
a.version, a.score,
CASE WHEN a.score >= 9 THEN 'promoter' WHEN a.score >= 7 THEN 'passive' ELSE 'detractor' END AS category,
a.reasons, a.comment, a.extra, i.segments, a.mode, a.step, a.channel, a.suspect,
coalesce(i.test, NOT i.counted) AS test, a.answered_at, a.first_day AS day, i.respondent_id,
{_PARTS["source"]} AS event_source, {_PARTS["id"]} AS event_id, {_PARTS["subject"]} AS event_subject
FROM answers a JOIN invitation_details i ON i.id = a.invitation_id"""  # noqa: S608 - constants


def upgrade() -> None:
    op.add_column("invitations", sa.Column("asked_id", sa.Text))
    op.create_index(
        "invitations_asked",
        "invitations",
        ["asked_id"],
        postgresql_using="hash",
        postgresql_with={"fillfactor": "90"},
        postgresql_where=sa.text("asked_id IS NOT NULL"),
    )
    op.execute(_DETAILS.format(more=", i.asked_id"))
    op.execute(_ANSWERS.format(invitation="CASE WHEN i.asked_id IS NULL THEN a.invitation_id ELSE a.answer_id END"))


def downgrade() -> None:
    """Delete who was asked for anonymous answers: an erasure no longer finds them."""
    op.execute("DROP VIEW answers_v")
    op.execute("DROP VIEW invitation_details")
    op.execute(_DETAILS.format(more=""))
    op.execute(_ANSWERS.format(invitation="a.invitation_id"))
    op.drop_index("invitations_asked", table_name="invitations")
    op.drop_column("invitations", "asked_id")
