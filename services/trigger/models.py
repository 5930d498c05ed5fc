"""The tables of trigger."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from shared.database.api_keys import api_keys_table
from shared.database.audit.tables import audit_tables
from shared.database.staff import staff_table
from shared.migrations import messaging_tables

metadata = sa.MetaData()
messaging_tables(metadata)
api_keys_table(metadata)
staff_table(metadata)
audit_tables(metadata)

FULL_PAGES = {"fillfactor": "90"}  # of hash indexes; the default is 75

_Time = sa.DateTime(timezone=True)

programs = sa.Table(
    "programs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
    sa.Column("applied_at", _Time, nullable=False),
)

# of programs that were ever switched, and of all together, whose row is `*`; business time
program_states = sa.Table(
    "program_states",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("since", _Time, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("handed_over", sa.Integer, nullable=False, server_default="0"),
)

# In a compact row `consent`, `attributes` and `moments` are NULL where other columns or a default say the same, and so
# are a customer's id that is the respondent's, and times of purchases that are `known_at`.
respondents = sa.Table(
    "respondents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("customer_id", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("time_zone", sa.Text),
    sa.Column("consent", JSONB, server_default="{}"),
    sa.Column("attributes", JSONB, server_default="{}"),
    sa.Column("purchases", sa.Integer, nullable=False, server_default="0"),
    sa.Column("first_purchase_at", _Time),
    sa.Column("last_purchase_at", _Time),
    sa.Column("known_at", _Time),
    sa.Column("last_answered_at", _Time),
    sa.Column("last_category", sa.Text),
    sa.Column("last_score", sa.Integer),
    sa.Column("moments", JSONB, server_default="{}"),  # last contacts by kind and program, for caps
    sa.Column("erased_at", _Time),
    sa.Column("spread", sa.Integer, nullable=False),  # position within every cadence, see domain/sampling
    sa.Column("cleared", JSONB),  # when details were taken away, so that an older event does not bring them back
    sa.Column("address_source", sa.Text),  # the source of the event that its addresses come from
    # the default holds for rows of before this column, and of a release that does not know it yet
    sa.Column("has_older_id", sa.Boolean, nullable=False, server_default=sa.true()),
    # of compact rows
    # what was stated of consent, by channel, where it is more than a letter, or of another time than `known_at`
    sa.Column("consent_statements", JSONB),
    sa.Column("consents", sa.Text),  # a letter for each channel: y, n, or - for unknown
    sa.Column("program_id", sa.Text),  # of one of the last invitations
    sa.Column("invited_at", _Time),
    sa.Index("respondents_spread", "spread"),
    # addresses and ids of orders are long and in no order: a hash index takes a third of the bytes
    sa.Index("respondents_email", sa.text("lower(email)"), postgresql_using="hash", postgresql_with=FULL_PAGES),
    sa.Index("respondents_phone", "phone", postgresql_using="hash", postgresql_with=FULL_PAGES),
    sa.Index("respondents_guest", sa.text("right(id, 32)"), postgresql_where=sa.text("id LIKE '%guest-%'")),
)

addresses = sa.Table(
    "addresses",
    metadata,
    sa.Column("invited_at", _Time),
    sa.Column("fingerprint", sa.Uuid, primary_key=True),  # the first 16 bytes
    sa.Column("respondent_id", sa.Text),  # whose address this is now
    sa.Column("program_id", sa.Text),  # of the invitation at `invited_at`
    sa.Column("further", JSONB),  # other respondents, and the times of invitations by other programs
)

# one row: from when on rows are compact, see `shared/database/compact_rows.py`
compact_rows = sa.Table("compact_rows", metadata, sa.Column("since", _Time, primary_key=True))

# what many decisions and touchpoints have in common; the digest is of the document
shapes = sa.Table(
    "shapes",
    metadata,
    sa.Column("digest", sa.Uuid, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
)

# which services have erased a respondent, and what they did where data had gone
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("respondent_id", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("at", _Time, nullable=False),
    sa.Column("places", JSONB, nullable=False),
)

touchpoints = sa.Table(
    "touchpoints",
    metadata,
    sa.Column("respondent_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("source", sa.Text),
    sa.Column("event_id", sa.Text),
    sa.Column("invitation_id", sa.Uuid),
    sa.Column("program_id", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("reversed_at", _Time),
    sa.Column("delivered_at", _Time),
    sa.Column("details", JSONB),  # of rows of before `shape`
    sa.Column("shape", sa.Uuid),  # of the details, see `shapes`
    sa.Column("own_values", JSONB),
    # of a compact row; the decision has the event, the invitation and the program, which are NULL here
    sa.Column("decision_id", sa.Uuid),
    sa.Column("number", sa.Text),  # by which people know it, as it is searched for; NULL if that is `ref`
    sa.Index("touchpoints_number", "number", postgresql_using="hash", postgresql_with=FULL_PAGES),
    sa.Index("touchpoints_ref", "ref", postgresql_using="hash", postgresql_with=FULL_PAGES),
    sa.Index(
        "touchpoints_invitation",
        "invitation_id",
        unique=True,
        postgresql_where=sa.text("invitation_id IS NOT NULL"),
    ),
)

suppressions = sa.Table(
    "suppressions",
    metadata,
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text),  # NULL: every channel
    sa.Column("program", sa.Text),  # NULL: every program
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until", _Time),
    sa.UniqueConstraint(
        "respondent_id", "channel", "program", "reason", name="suppressions_once", postgresql_nulls_not_distinct=True
    ),
)

address_suppressions = sa.Table(
    "address_suppressions",
    metadata,
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("channel", sa.Text),  # NULL: every channel
    sa.Column("program", sa.Text),  # NULL: every program
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until", _Time),
    sa.UniqueConstraint(
        "fingerprint",
        "channel",
        "program",
        "reason",
        name="address_suppressions_once",
        postgresql_nulls_not_distinct=True,
    ),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("type", sa.Text, nullable=False),  # empty where the shape has it, as the program and the trail
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("event_time", _Time, nullable=False),
    sa.Column("decided_at", _Time, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("program_id", sa.Text),
    sa.Column("program_version", sa.Integer),
    sa.Column("invitation_id", sa.Uuid),
    sa.Column("trail", JSONB),
    sa.Column("ignored", JSONB),  # fields that were left out, NULL if there are none
    sa.Column("shape", sa.Uuid),  # of type, program, version and trail, see `shapes`
    sa.Column("own_values", JSONB),  # NULL in a compact row: none, or only `decided_at`
    # ids are long and in no order: a hash index takes half of the bytes
    sa.Index("decisions_event", "event_id", postgresql_using="hash", postgresql_with=FULL_PAGES),
    sa.Index("decisions_respondent", "respondent_id", postgresql_using="hash", postgresql_with=FULL_PAGES),
    postgresql_partition_by="RANGE (id)",  # by month; `decisions_first` has those of before there were months
)

# of every decided event, also where its decision is past retention: a hash of source and event id
event_keys = sa.Table("event_keys", metadata, sa.Column("key", sa.Uuid, primary_key=True))

rereads = sa.Table(
    "rereads",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", _Time, nullable=False, server_default=sa.func.now(), index=True),
)

# how the messages of webhook sources ended that leave no other trace: neither decided nor parked; machine time
arrivals = sa.Table(
    "arrivals",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("last_at", _Time, nullable=False),
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("mode", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
)

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("program_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("used", sa.Integer, nullable=False),
)

cadences = sa.Table(
    "cadences",
    metadata,
    sa.Column("program_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, nullable=False),  # the day that is being worked on, or the last finished day
    sa.Column("after_spread", sa.Integer),  # NULL: the day is finished
    sa.Column("after_id", sa.Text),
)
