"""Tables of staff: people, their one-time links and their sessions."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.scoring.models.columns import Moment, metadata

people = sa.Table(
    "people",
    metadata,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("login", sa.Text, nullable=False, unique=True),  # folded: NFKC without case
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", ARRAY(sa.Text), nullable=False),
    sa.Column("password", sa.Text),  # argon2id in the PHC string format; none before the first link is used
    sa.Column("off_at", Moment),
    sa.Column("code_secret", sa.Text),  # of one-time codes, in base32; none without a second factor
    sa.Column("code_step", sa.BigInteger),  # the last step of 30 seconds whose code was used
    sa.Column("recovery", ARRAY(sa.LargeBinary), nullable=False, server_default="{}"),  # SHA-256 of unused codes
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),  # grows with every change
    sa.Column("programs", ARRAY(sa.Text), nullable=False, server_default="{}"),  # all that the person sees; none: all
    sa.Column("stores", ARRAY(sa.Text), nullable=False, server_default="{}"),  # codes
    sa.Column("regions", ARRAY(sa.Text), nullable=False, server_default="{}"),  # all stores of these, too
    sa.Column("email", sa.Text),  # where one-time links may be sent
    sa.Column("employees", ARRAY(sa.Text), nullable=False, server_default="{}"),  # the person's codes in events
    sa.Column("spoken", ARRAY(sa.Text), nullable=False, server_default="{}"),  # languages of calls; none: all
)

person_identities = sa.Table(
    "person_identities",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),  # of an identity provider
    sa.Column("subject", sa.Text, primary_key=True),  # how it names the person
    sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False, unique=True),
)

staff_links = sa.Table(
    "staff_links",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),  # SHA-256 of the link's secret
    sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Index("staff_links_person", "person"),
)

staff_sessions = sa.Table(
    "staff_sessions",
    metadata,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    sa.Column("begun_at", Moment, nullable=False),
    sa.Column("ends_at", Moment, nullable=False),
    sa.Column("browser", sa.Text, nullable=False),
    sa.Index("staff_sessions_person", "person"),
    sa.Index("staff_sessions_ends_at", "ends_at"),
)

shared_views = sa.Table(  # links that show the figures of a view to whoever has one
    "shared_views",
    metadata,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),  # SHA-256 of the link's secret
    sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False),  # who made it
    sa.Column("view", sa.Text, nullable=False),  # the query of the dashboard's address
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("stores", ARRAY(sa.Text)),  # that the figures are of, as in events; none: all
    sa.Column("made_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
    sa.Index("shared_views_digest", "digest", unique=True),
    sa.Index("shared_views_person", "person"),
)
