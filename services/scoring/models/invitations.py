"""Programs, invitations and their contents."""

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

contents = sa.Table(  # shared by the invitations of a program's version and language
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
    sa.Column("dimensions", JSONB, nullable=False),  # the values it is counted under
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("invited_day", sa.Date, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),  # not a test, not withdrawn
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

withdrawn = sa.Table(  # ids whose request may arrive later
    "withdrawn",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
)
