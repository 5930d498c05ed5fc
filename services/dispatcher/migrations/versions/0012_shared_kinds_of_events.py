"""The kind of the event and the time from sending to expiry are stored with what requests share.

A request has neither these nor a customer's id that is the respondent's. Rows of before stay as they are. The view
`requests` shows all of them whole.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
oldest_reader = "0001"

FIELDS = ("source", "id", "type", "time", "subject", "number", "amount", "currency")
OWN_FIELDS = ("id", "time", "subject", "number", "amount")


def named(fields: tuple[str, ...]) -> str:
    """Return an expression for the fields of an event that is an array."""
    values = ", ".join(f"'{name}', i.request->'event'->{place}" for place, name in enumerate(fields))
    return f"jsonb_strip_nulls(jsonb_build_object({values}))"


IS_OWN = f"jsonb_array_length(i.request->'event') = {len(OWN_FIELDS)}"
SEND_AT = "i.expires_at - make_interval(secs => (c.document->>'lifetime_s')::float8)"
EVENT = (
    """CASE jsonb_typeof(i.request->'event') WHEN 'array' THEN jsonb_build_object('event', {event}) ELSE '{{}}' END"""
)
BOTH = f"CASE WHEN {IS_OWN} THEN c.document->'event' || {named(OWN_FIELDS)} ELSE {named(FIELDS)} END"
REQUESTS = """CREATE OR REPLACE VIEW requests AS SELECT i.id, coalesce(c.document, '{{}}') || {defaults} i.request ||
    {event} ||
    jsonb_build_object('invitation_id', i.id, 'respondent_id', i.respondent_id, 'expires_at', i.expires_at) AS request
FROM invitations i LEFT JOIN contents c ON c.digest = i.content"""
DEFAULTS = f"jsonb_build_object('customer_id', i.respondent_id, 'send_at', {SEND_AT}) ||"
VALUES = ", ".join(f"r.request->'event'->'{name}'" for name in FIELDS)
BACK = f"""UPDATE invitations i SET request = i.request || jsonb_build_object('event', jsonb_build_array({VALUES}),
    'customer_id', r.request->'customer_id', 'send_at', r.request->'send_at')
FROM requests r WHERE r.id = i.id AND jsonb_typeof(i.request->'event') = 'array' AND {IS_OWN}"""  # noqa: S608 - constants


def upgrade() -> None:
    op.execute(REQUESTS.format(defaults=DEFAULTS, event=EVENT.format(event=BOTH)))


def downgrade() -> None:
    op.execute(BACK)
    op.execute(REQUESTS.format(defaults="", event=EVENT.format(event=named(FIELDS))))
