"""Tables of page views, of how far invitations came, of purchases, and the daily journey counters."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.scoring.models.columns import Moment, metadata, series

page_views = sa.Table(
    "page_views",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("score", sa.SmallInteger),  # the `score` parameter of the opened link, or the score of a suspect entry
    sa.Column("automatic", sa.Boolean, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("page_views_invitation", "invitation_id", "at"),
)

progress = sa.Table(  # what is known of an invitation beside its answer and page views
    "progress",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("attempts", sa.LargeBinary),  # contact attempts, in MessagePack
    sa.Column("outcome", sa.Text),
    # the amounts that this invitation adds to `journeys`, by number of the part, in MessagePack
    sa.Column("counted", sa.LargeBinary),
)

part_numbers = sa.Table(
    "part_numbers",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Index("part_numbers_part", "stage", "detail", unique=True),
)

# written by versions before `progress` only, in `attempts`, `outcomes` and `journey_parts`
attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("attempt_id", sa.Uuid, primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Index("attempts_invitation", "invitation_id"),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)

purchases = sa.Table(
    "purchases",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("respondent_id", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("amount", sa.Numeric),
    sa.Column("currency", sa.Text),
    sa.Index("purchases_respondent", "respondent_id"),
    sa.Index("purchases_at", "at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)

journeys = sa.Table(
    "journeys",
    metadata,
    *series(),
    sa.Column("stage", sa.Text, primary_key=True),
    sa.Column("detail", sa.Text, primary_key=True),
    sa.Column("amount", sa.Numeric, nullable=False, server_default="0"),
    sa.Index("journeys_ended", "program", "dimension", "value", "day", postgresql_where=sa.text("stage = 'ended'")),
)

journey_parts = sa.Table(
    "journey_parts",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("parts", JSONB, nullable=False),
)

uncounted = sa.Table(  # invitations to be counted again; versions before know it as `journeys_pending`
    "uncounted",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("invitation_id", sa.Uuid, nullable=False),
)
