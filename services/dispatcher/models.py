"""Tables of the dispatcher.

Business time: due_at, expires_at, closed_at, until, at. Machine time: leased_until, created_at. Whoever closes an
invitation or continues its chain locks its row. Whoever changes what decides whether a step is sent increments the
`revision` of the invitation: a step that was claimed before is then not sent, but checked again.

A step is planned (a row of `due`), taken by a sender (`held`), put aside because its program is stopped (`halted`), or
ended (a row of `attempts`); before that, it stands only in the plan of its request. `due`, `held`, `halted` and
`open_calls` have no foreign keys, since each check would write to the invitation's row.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.database.api_keys import api_keys_table
from shared.database.audit.tables import audit_tables
from shared.database.staff import staff_table
from shared.migrations import messaging_tables

metadata = sa.MetaData()
messaging_tables(metadata)
api_keys_table(metadata)
staff_table(metadata)
audit_tables(metadata)

_INSTANT = sa.DateTime(timezone=True)
_HASHED = {
    "respondent": "respondent_id",
    "unsubscribe": "unsubscribe",
    "email": "email_fingerprint",
    "phone": "phone_fingerprint",
}
_RARE = "outcome IN ('declined', 'undeliverable', 'withdrawn')"

# one row: from when on rows are compact, see `shared/database/compact_rows.py`
sa.Table("compact_rows", metadata, sa.Column("since", _INSTANT, primary_key=True))

sa.Table(
    "invitations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("outcome", sa.Text),
    sa.Column("request", JSONB, nullable=False),  # without a content: the whole request
    sa.Column("content", sa.LargeBinary),  # what the request shares with others
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unsubscribe", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", _INSTANT, nullable=False),
    sa.Column("closed_at", _INSTANT),
    sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.text("clock_timestamp()")),
    # of the addresses in the request, under the key `address_key`; a null key: not made yet
    sa.Column("email_fingerprint", sa.LargeBinary),
    sa.Column("phone_fingerprint", sa.LargeBinary),
    sa.Column("address_key", sa.Text),
    sa.CheckConstraint("(state = 'closed') = (outcome IS NOT NULL)", name="invitations_outcome"),
    # of ids and fingerprints, which are long and in no order: a hash index takes a third of the bytes
    *(
        sa.Index(f"invitations_{name}", column, postgresql_using="hash", postgresql_with={"fillfactor": "90"})
        for name, column in _HASHED.items()
    ),
    sa.Index("invitations_expiry", "expires_at", postgresql_where=sa.text("state = 'open'")),
    sa.Index("invitations_unmarked", "id", postgresql_where=sa.text("address_key IS NULL")),
    # of the other outcomes the newest are found by id
    sa.Index("invitations_rare", "outcome", "id", postgresql_where=sa.text(_RARE)),
    postgresql_with={"fillfactor": "100"},
)

# what the requests of a program version and locale share, by its digest; see domain/stored_requests
sa.Table(
    "contents",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
)

# every row of these two is deleted soon: clean up early
_QUEUE = {"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "5000"}

# the next step of each open invitation
sa.Table(
    "due",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("due_at", _INSTANT, nullable=False),
    sa.Column("step", sa.SmallInteger, nullable=False),
    sa.Column("tries", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),  # why it is postponed or tried again
    sa.Column("account", sa.Text),
    sa.Index("due_first", "channel", "due_at"),
    postgresql_with=_QUEUE,
)

# steps that a sender has: leased, or in flight; `revision` is that of the invitation when it was claimed
sa.Table(
    "held",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("token", sa.Uuid, nullable=False),
    sa.Column("due_at", _INSTANT, nullable=False),
    sa.Column("leased_until", _INSTANT, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("step", sa.SmallInteger, nullable=False),
    sa.Column("tries", sa.SmallInteger, nullable=False),
    sa.Column("in_flight", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("account", sa.Text),
    postgresql_with={"fillfactor": "50", **_QUEUE},  # room for the mark on the page of the row
)

# steps that became due while their program was stopped; they go back to `due` when it is no longer
sa.Table(
    "halted",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("due_at", _INSTANT, nullable=False),
    sa.Column("step", sa.SmallInteger, nullable=False),
    sa.Column("tries", sa.SmallInteger, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("account", sa.Text),
    sa.Column("program", sa.Text, nullable=False),
    sa.Index("halted_program", "program"),
)

# the current version of each program and its state, as published; `published_at` is the time of the event
sa.Table(
    "programs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("published_at", _INSTANT, nullable=False),
    sa.Column("document", JSONB, nullable=False),
    sa.Index("programs_stopped", "id", postgresql_where=sa.text("state IN ('stopped', 'withdrawn')")),
)

# calls that the desk has not closed yet
sa.Table(
    "open_calls",
    metadata,
    sa.Column("call_task", sa.Uuid, primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
    sa.Column("step", sa.SmallInteger, nullable=False),
    sa.Index("open_calls_invitation", "invitation_id"),
)

# the steps of versions before, moved to the tables above; it goes in a later revision
sa.Table(
    "steps",
    metadata,
    sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("delay_s", sa.BigInteger, nullable=False),
    sa.Column("due_at", _INSTANT),
    sa.Column("token", sa.Uuid),
    sa.Column("leased_until", _INSTANT),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text),
    sa.Column("account", sa.Text),
    sa.Column("call_task", sa.Uuid),  # the task of an open call at the desk
    sa.Index("steps_due", "channel", "due_at", postgresql_where=sa.text("state = 'planned'")),
    sa.Index("steps_calls", "call_task", postgresql_where=sa.text("call_task IS NOT NULL")),
    sa.Index("steps_running", "leased_until", postgresql_where=sa.text("leased_until IS NOT NULL")),
    postgresql_with={"fillfactor": "70"},
)

sa.Table(
    "attempts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("try", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("provider_message_id", sa.Text),
    sa.Column("at", _INSTANT, nullable=False),
    sa.Column("segments", sa.Integer),
    sa.Column("cost", sa.Numeric),
    sa.Column("currency", sa.Text),
    sa.Column("phone", sa.LargeBinary),  # a fingerprint of the number a text message was sent to
    sa.Column("asked", sa.Integer, nullable=False, server_default="0"),
    sa.Column("ask_at", _INSTANT),  # when to ask the provider for the status of an unknown one; machine time
    sa.Index("attempts_once", "invitation_id", "step", "try", unique=True),
    sa.Index("attempts_message", "provider_message_id", postgresql_where=sa.text("provider_message_id IS NOT NULL")),
    sa.Index("attempts_phone", "phone", postgresql_where=sa.text("phone IS NOT NULL")),
    sa.Index("attempts_unknown", "ask_at", postgresql_where=sa.text("state = 'unknown' AND ask_at IS NOT NULL")),
)

# receipts of providers, applied by a job; one received before our own record waits until `look_at`, machine time
sa.Table(
    "receipts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("invitation_id", sa.Uuid),
    sa.Column("step", sa.Integer),
    sa.Column("message_id", sa.Text),
    sa.Column("phone", sa.LargeBinary),
    sa.Column("looks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("look_at", _INSTANT, server_default=sa.text("clock_timestamp()")),  # null: applied or given up
    sa.Column("stored_at", _INSTANT, nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.Index("receipts_once", "provider", "key", unique=True),
    sa.Index("receipts_due", "look_at", postgresql_where=sa.text("look_at IS NOT NULL")),
    sa.Index("receipts_age", "stored_at"),
)

# calls that are also tasks in a CRM; all times are machine times
sa.Table(
    "crm_tasks",
    metadata,
    sa.Column("call_task", sa.Uuid, primary_key=True),
    sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("number", sa.Text),  # the CRM's id, once there is one
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("look_at", _INSTANT, server_default=sa.text("clock_timestamp()")),  # null: finished
    sa.Column("finished_at", _INSTANT),
    sa.Index("crm_tasks_due", "look_at", postgresql_where=sa.text("look_at IS NOT NULL")),
    sa.Index("crm_tasks_invitation", "invitation_id"),
    sa.Index("crm_tasks_open", "number", postgresql_where=sa.text("finished_at IS NULL")),
)

# answers that are written into fields of a CRM, the latest of each contact, company and deal
sa.Table(
    "crm_fields",
    metadata,
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("entity_id", sa.Text, primary_key=True),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("answered_at", _INSTANT, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("erased", sa.Boolean, nullable=False, server_default=sa.false()),  # its fields are to be emptied
    sa.Column("written", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),  # may hold a value of ours
    sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("look_at", _INSTANT, server_default=sa.text("clock_timestamp()")),  # machine time; null: nothing to do
    sa.Index("crm_fields_due", "look_at", postgresql_where=sa.text("look_at IS NOT NULL")),
    sa.Index("crm_fields_respondent", "respondent_id"),
)

sa.Table(
    "suppressions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text),  # null: all
    sa.Column("program", sa.Text),  # null: all
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until", _INSTANT),  # null: for ever
    sa.Column("address", sa.LargeBinary),  # an unkeyed SHA-256, until it is bound below
    sa.Column("at", _INSTANT, nullable=False),
    sa.Column("is_bound", sa.Boolean, nullable=False, server_default=sa.false()),  # its addresses are stored below
    sa.Index(
        "suppressions_once",
        "respondent_id",
        "channel",
        "program",
        "reason",
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
    sa.Index("suppressions_end", "until", postgresql_where=sa.text("until IS NOT NULL")),
    sa.Index("suppressions_unbound", "id", postgresql_where=sa.text("NOT is_bound")),
    sa.Index("suppressions_address", "address", postgresql_where=sa.text("address IS NOT NULL")),
)

# the addresses that a suppression binds, whatever respondent has them, as fingerprints under the key `address_key`
sa.Table(
    "bound_addresses",
    metadata,
    sa.Column("suppression_id", sa.Uuid, sa.ForeignKey("suppressions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, primary_key=True),
    sa.Column("address_key", sa.Text),  # null: not known
    sa.Index("bound_addresses_fingerprint", "fingerprint"),
)

# messages sent per account and day: one row, whose lock makes processes wait for each other at the ceiling
sa.Table(
    "allowance",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
)

# outcomes received before their request: there is no order between topics
sa.Table(
    "early",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("at", _INSTANT, nullable=False),
)

# the last change of each respondent's consent: a request parked meanwhile has an older value
sa.Table(
    "consents",
    metadata,
    sa.Column("respondent_id", sa.Text, primary_key=True),
    sa.Column("consent", JSONB, nullable=False),
    sa.Column("at", _INSTANT, nullable=False),
)

sa.Table(
    "mailbox",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("cursor", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE")),  # null: a test message
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # the mail with its headers, or the text of a text message
    sa.Column("at", _INSTANT, nullable=False),
    sa.Index("mailbox_cursor", "cursor", unique=True),
    sa.Index("mailbox_once", "invitation_id", "step", unique=True),
)

# what respondents write back, by mail or text message; `asks` is the kind of receipt that follows from the words
sa.Table(
    "replies",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("invitation_id", sa.Uuid, sa.ForeignKey("invitations.id", ondelete="CASCADE")),  # null: not known
    sa.Column("sender", sa.Text, nullable=False),  # a mail address in lower case, or a phone number
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("asks", sa.Text),
    sa.Column("at", _INSTANT, nullable=False),
    sa.Column("read_at", _INSTANT),
    sa.Column("stored_at", _INSTANT, nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.Index("replies_once", "provider", "key", unique=True),
    sa.Index("replies_invitation", "invitation_id"),
    sa.Index("replies_sender", "sender"),
    sa.Index("replies_age", "stored_at"),
    sa.Index("replies_unread", "id", postgresql_where=sa.text("read_at IS NULL")),
)
