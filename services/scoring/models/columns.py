"""The metadata of all scoring tables, and columns that several tables share."""

from __future__ import annotations

import sqlalchemy as sa

from shared.database.api_keys import api_keys_table
from shared.database.audit.tables import audit_tables
from shared.migrations import messaging_tables

metadata = sa.MetaData()
messaging_tables(metadata)
api_keys_table(metadata)
audit_tables(metadata)

Moment = sa.DateTime(timezone=True)


def series() -> list[sa.Column[object]]:
    return [
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
    ]
