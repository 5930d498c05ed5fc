"""The event of a request is stored as an array of its fields, since their names were a third of it.

Rows of before stay as they are. The view `requests` shows both with names.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
oldest_reader = "0001"

FIELDS = ("source", "id", "type", "time", "subject", "number", "amount", "currency")
NAMED = ", ".join(f"'{name}', i.request->'event'->{place}" for place, name in enumerate(FIELDS))
EVENT = f"""CASE jsonb_typeof(i.request->'event') WHEN 'array' THEN jsonb_build_object('event',
    jsonb_strip_nulls(jsonb_build_object({NAMED}))) ELSE '{{}}' END"""
REQUESTS = """CREATE OR REPLACE VIEW requests AS SELECT i.id, coalesce(c.document, '{{}}') || i.request || {event}
    jsonb_build_object('invitation_id', i.id, 'respondent_id', i.respondent_id, 'expires_at', i.expires_at) AS request
FROM invitations i LEFT JOIN contents c ON c.digest = i.content"""


def upgrade() -> None:
    op.execute(REQUESTS.format(event=f"{EVENT} ||"))


def downgrade() -> None:
    op.execute(
        f"UPDATE invitations i SET request = i.request || {EVENT} WHERE jsonb_typeof(request->'event') = 'array'"  # noqa: S608 - constants of this file
    )
    op.execute(REQUESTS.format(event=""))
