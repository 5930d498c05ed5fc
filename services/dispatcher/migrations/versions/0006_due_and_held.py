"""Steps that wait and steps that a sender has as rows of their own tables, open calls, and contents stored once.

What is planned in `steps` is moved by the dispatcher while it runs. `steps` goes in a later revision: a dispatcher of
the version before may still use it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0006"
down_revision = "0005"
oldest_reader = "0001"

INSTANT = sa.DateTime(timezone=True)
# every row is deleted soon: clean up early
QUEUE = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000"

REQUESTS = """CREATE VIEW requests AS SELECT i.id, coalesce(c.document, '{}') || i.request || jsonb_build_object(
    'invitation_id', i.id, 'respondent_id', i.respondent_id, 'expires_at', i.expires_at) AS request
FROM invitations i LEFT JOIN contents c ON c.digest = i.content"""
RARE = "outcome IN ('declined', 'undeliverable', 'withdrawn')"
FINGERPRINTS = {
    "invitations_unsubscribe": "unsubscribe",
    "invitations_email": "email_fingerprint",
    "invitations_phone": "phone_fingerprint",
}
CALLS = """CREATE VIEW calls AS SELECT call_task, invitation_id, step FROM open_calls
UNION ALL SELECT call_task, invitation_id, step FROM steps WHERE call_task IS NOT NULL"""

BACK = (
    # steps of invitations that only this version knows
    """INSERT INTO steps (invitation_id, step, channel, state, delay_s)
SELECT i.id, p.step, p.channel, 'waiting', p.delay_s FROM invitations i JOIN requests r USING (id),
    jsonb_to_recordset(r.request->'plan') AS p (step integer, channel text, delay_s bigint)
WHERE i.state = 'open' ON CONFLICT DO NOTHING""",
    """UPDATE steps s SET state = CASE last.state WHEN 'bounced' THEN 'refused' WHEN 'delivered' THEN 'sent'
    WHEN 'complained' THEN 'sent' ELSE last.state END, tries = last.try, reason = last.reason, account = last.provider
FROM (
    SELECT DISTINCT ON (a.invitation_id, a.step) a.* FROM attempts a JOIN invitations i ON i.id = a.invitation_id
    WHERE i.state = 'open' ORDER BY a.invitation_id, a.step, a.try DESC
) AS last WHERE s.invitation_id = last.invitation_id AND s.step = last.step AND s.state IN ('waiting', 'unknown')""",
    """UPDATE steps s SET state = 'planned', due_at = d.due_at, tries = d.tries, reason = d.reason, account = d.account
FROM due d WHERE s.invitation_id = d.invitation_id AND s.step = d.step""",
    """UPDATE steps s SET state = CASE WHEN h.in_flight THEN 'in_flight' ELSE 'leased' END, due_at = h.due_at,
    tries = h.tries, account = h.account, token = h.token, leased_until = h.leased_until
FROM held h WHERE s.invitation_id = h.invitation_id AND s.step = h.step""",
    """UPDATE steps s SET call_task = c.call_task FROM open_calls c
WHERE s.invitation_id = c.invitation_id AND s.step = c.step""",
    """UPDATE invitations i SET request = r.request FROM requests r WHERE r.id = i.id AND i.content IS NOT NULL""",
)


def upgrade() -> None:
    op.create_table(
        "due",
        sa.Column("invitation_id", UUID, primary_key=True),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("tries", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("account", sa.Text),
    )
    op.create_index("due_first", "due", ["channel", "due_at"])
    op.create_table(
        "held",
        sa.Column("invitation_id", UUID, primary_key=True),
        sa.Column("token", UUID, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("leased_until", INSTANT, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
        sa.Column("tries", sa.SmallInteger, nullable=False),
        sa.Column("in_flight", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("account", sa.Text),
    )
    op.execute(f"ALTER TABLE due SET ({QUEUE})")
    op.execute(f"ALTER TABLE held SET (fillfactor = 50, {QUEUE})")
    op.create_table(
        "open_calls",
        sa.Column("call_task", UUID, primary_key=True),
        sa.Column("invitation_id", UUID, nullable=False),
        sa.Column("step", sa.SmallInteger, nullable=False),
    )
    op.create_index("open_calls_invitation", "open_calls", ["invitation_id"])
    op.create_table(
        "contents",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("document", JSONB, nullable=False),
    )
    op.add_column("invitations", sa.Column("content", sa.LargeBinary))
    op.add_column("invitations", sa.Column("revision", sa.Integer, nullable=False, server_default="0"))
    op.execute("INSERT INTO leases (name, until) VALUES ('reconciler', '-infinity')")
    op.execute(REQUESTS)
    op.execute(CALLS)
    op.execute("ALTER TABLE invitations SET (fillfactor = 100)")
    op.drop_index("invitations_outcome_newest", "invitations")
    op.create_index("invitations_rare", "invitations", ["outcome", "id"], postgresql_where=sa.text(RARE))
    for name, column in FINGERPRINTS.items():
        op.drop_index(name, "invitations")
        op.create_index(name, "invitations", [column], postgresql_using="hash")


def downgrade() -> None:
    for statement in BACK:
        op.execute(statement)
    op.execute("DROP VIEW calls, requests")
    op.execute("DELETE FROM leases WHERE name = 'reconciler'")
    for name, column in FINGERPRINTS.items():
        op.drop_index(name, "invitations")
        where = {"postgresql_where": sa.text(f"{column} IS NOT NULL")} if column != "unsubscribe" else {"unique": True}
        op.create_index(name, "invitations", [column], **where)
    op.drop_index("invitations_rare", "invitations")
    op.create_index("invitations_outcome_newest", "invitations", [sa.text("coalesce(outcome, state)"), "id"])
    op.execute("ALTER TABLE invitations SET (fillfactor = 80)")
    for column in ("revision", "content"):
        op.drop_column("invitations", column)
    for table in ("contents", "open_calls", "held", "due"):
        op.drop_table(table)
