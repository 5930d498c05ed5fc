"""Tables of webhook endpoints and webhook deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.scoring.models.columns import Moment, metadata

webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", JSONB, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("old_secret", sa.Text),
    sa.Column("old_until", Moment),  # the database's clock
    sa.Column("disabled", sa.Text),  # the reason for disabling; NULL while the endpoint is enabled
    sa.Column("succeeded_at", Moment),
    sa.Column("created_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("endpoint_id", sa.Uuid, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="due"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),  # the database's clock
    sa.Column("outcome", sa.Text),
    sa.Column("created_at", Moment, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Index("webhook_deliveries_due", "endpoint_id", "due_at", postgresql_where=sa.text("state = 'due'")),
    sa.Index("webhook_deliveries_subject", "subject"),
)
