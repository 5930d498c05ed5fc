"""Tables of programs, invitations, what invitations share, and early withdrawals."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.scoring.models.columns import Moment, metadata

programs = sa.Table(
    "programs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", JSONB, nullable=False),
    sa.Column("state", sa.Text),  # as last published; NULL where the publisher did not say
)


def _shared() -> list[sa.Column[object]]:
    return [
        sa.Column("program_version", sa.Integer),
        sa.Column("program_title", sa.Text),
        sa.Column("locale", sa.Text),
        sa.Column("time_zone", sa.Text),
        sa.Column("program_zone", sa.Text),
    ]


contents = sa.Table(  # one row is shared by all invitations that have all of this in common
    "contents",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
    *_shared(),  # NULL in rows older than the columns
)

# Statements read the view `invitation_details`. In a compact row what `contents` has is NULL, `customer_id` if it is
# the respondent's id, and `segments` if they are the dimensions without `version`; `occasion` is an array.
compact_rows = sa.Table(  # one row: from when on rows are compact; the version before cannot read those
    "compact_rows", metadata, sa.Column("since", Moment, primary_key=True)
)

_FULL_PAGES = {"fillfactor": "90"}  # of hash indexes; the default is 75

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("customer_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("phone", sa.Text, nullable=False),
    sa.Column("program", sa.Text, nullable=False),
    *_shared(),
    sa.Column("occasion", JSONB, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("segments", JSONB),
    sa.Column("dimensions", JSONB, nullable=False),  # the dimension values under which the invitation is counted
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("invited_day", sa.Date, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),  # false for test and withdrawn invitations
    sa.Column("test", sa.Boolean),  # NULL in rows older than the column
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("opted_out_at", Moment),
    sa.Column("offers", JSONB),  # an array of the channels over which offers are allowed; NULL if there is none
    sa.Column("asked_id", sa.Text),  # the respondent, if answers are anonymous; the ids above are then made up
    # of values that are long and in no order: a hash index takes a third of the bytes
    sa.Index("invitations_fingerprint", "fingerprint", postgresql_using="hash", postgresql_with=_FULL_PAGES),
    sa.Index("invitations_respondent", "respondent_id", postgresql_using="hash", postgresql_with=_FULL_PAGES),
    sa.Index(
        "invitations_asked",
        "asked_id",
        postgresql_using="hash",
        postgresql_with=_FULL_PAGES,
        postgresql_where=sa.text("asked_id IS NOT NULL"),
    ),
    sa.Index("invitations_day", "program", "invited_day"),
    sa.Index(
        "invitations_dimensions",
        "dimensions",
        postgresql_using="gin",
        postgresql_ops={"dimensions": "jsonb_path_ops"},
        postgresql_with={"gin_pending_list_limit": 256},  # in kB; the default lets every such index grow by 4 MB
    ),
)

withdrawn = sa.Table(  # invitations withdrawn before their survey request arrived
    "withdrawn",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
)
