"""Tables of what is left of invitations that were deleted past retention: sums by day, and no person."""

from __future__ import annotations

import sqlalchemy as sa

from services.scoring.models.columns import metadata, series
from services.scoring.models.scores import COUNTERS


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


dropped_answers = sa.Table(  # what deleted answers have added to `buckets`
    "dropped_answers", metadata, *series(), *(_count(name) for name in COUNTERS)
)

dropped_invited = sa.Table(  # what deleted invitations have added to `invited`
    "dropped_invited", metadata, *series(), _count("invited"), _count("answered")
)

dropped_journeys = sa.Table(  # what deleted invitations have added to `journeys`
    "dropped_journeys",
    metadata,
    *series(),
    sa.Column("stage", sa.Text, primary_key=True),
    sa.Column("detail", sa.Text, primary_key=True),
    sa.Column("amount", sa.Numeric, nullable=False),
)

dropped_imports = sa.Table(  # ids of deleted imported scores, so that a repeated import does not count them again
    "dropped_imports", metadata, sa.Column("invitation_id", sa.Uuid, primary_key=True)
)

retention = sa.Table(  # one row: a survey request with a lesser id is a repeat of one that may have been deleted
    "retention", metadata, sa.Column("dropped_before", sa.Uuid, primary_key=True)
)
