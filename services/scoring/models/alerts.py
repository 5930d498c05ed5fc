"""Tables of published alerts and of the days whose score drops were already checked."""

from __future__ import annotations

import sqlalchemy as sa

from services.scoring.models.columns import metadata

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("dimension", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("period", sa.Date, primary_key=True),
)

alert_days = sa.Table("alert_days", metadata, sa.Column("day", sa.Date, primary_key=True))
