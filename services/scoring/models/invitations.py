"""Tables of programs, invitations, invitation contents and early withdrawals."""

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
)

contents = sa.Table(  # one row is shared by all invitations with the same content digest
    "contents",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("document", JSONB, nullable=False),
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("phone", sa.Text, nullable=False),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("program_version", sa.Integer, nullable=False),
    sa.Column("program_title", sa.Text, nullable=False),
    sa.Column("locale", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("program_zone", sa.Text, nullable=False),
    sa.Column("occasion", JSONB, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("segments", JSONB, nullable=False),
    sa.Column("dimensions", JSONB, nullable=False),  # the dimension values under which the invitation is counted
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("invited_day", sa.Date, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),  # false for test and withdrawn invitations
    sa.Column("test", sa.Boolean),  # NULL in rows older than the column
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("opted_out_at", Moment),
    sa.Index("invitations_fingerprint", "fingerprint", unique=True),
    sa.Index("invitations_respondent", "respondent_id"),
    sa.Index("invitations_day", "program", "invited_day"),
    sa.Index(
        "invitations_dimensions",
        "dimensions",
        postgresql_using="gin",
        postgresql_ops={"dimensions": "jsonb_path_ops"},
    ),
)

withdrawn = sa.Table(  # invitations withdrawn before their survey request arrived
    "withdrawn",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
)
