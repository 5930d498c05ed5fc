"""Tables of the list of stores."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.scoring.models.columns import metadata

stores = sa.Table(
    "stores",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("region", sa.Text),
    sa.Column("time_zone", sa.Text),
    sa.Column("hours", JSONB, nullable=False),  # times by weekday, {"mon": "09:00-21:00"}; {} where not known
    sa.Column("manager", sa.Text),
    sa.Column("deputy", sa.Text),
    sa.Column("review_links", JSONB, nullable=False),  # an array of texts
    sa.Column("closed_since", sa.Date),
)

store_names = sa.Table(
    "store_names",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),  # in events: a code, a name or a spelling, each of one store only
    sa.Column("code", sa.Text, sa.ForeignKey("stores.code", ondelete="CASCADE"), nullable=False),
    sa.Index("store_names_code", "code"),
)
