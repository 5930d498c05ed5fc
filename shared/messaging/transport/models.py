"""Tables of the postgres transport."""

from __future__ import annotations

import sqlalchemy as sa

from shared.messaging.transport import packing

metadata = sa.MetaData()

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("id", sa.BigInteger, sa.Identity(always=True, increment=packing.MOST), primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("appended_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
    sa.Column("packed", sa.SmallInteger),  # how many messages the body has; their ids end with `id`
)
sa.Index("messages_appended_at", messages.c.appended_at, postgresql_using="brin")

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

# one row: from when on rows are packed, see `shared/database/compact_rows.py`
compact_rows = sa.Table("compact_rows", metadata, sa.Column("since", sa.DateTime(timezone=True), primary_key=True))
