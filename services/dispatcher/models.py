"""Tables of dispatcher."""

from __future__ import annotations

import sqlalchemy as sa

from shared.migrations import messaging_tables

metadata = sa.MetaData()
messaging_tables(metadata)
