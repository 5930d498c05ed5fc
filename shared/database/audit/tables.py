"""The tables of the audit log, which every service has. A trigger of the database refuses what changes the log."""

from __future__ import annotations

import sqlalchemy as sa


def audit_tables(metadata: sa.MetaData) -> None:
    """Add the log, its anchors and the ids of customers to a service's tables; times are machine time."""
    moment = sa.DateTime(timezone=True)
    sa.Table(
        "audit_log",
        metadata,
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),  # without gaps
        sa.Column("at", moment, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("of", sa.BigInteger),  # the number of the row `asked` of the same act
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("customer", sa.Uuid),  # a random id, see `audit_customers`
        sa.Column("details", sa.Text, nullable=False),  # JSON as it was hashed
        sa.Column("status", sa.SmallInteger),  # of HTTP, or the exit code of a command
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Index("audit_log_at", "at"),
        sa.Index("audit_log_actor", "actor", "number"),
        sa.Index("audit_log_of", "of", unique=True, postgresql_where=sa.text("of IS NOT NULL")),
        sa.Index("audit_log_subject", "subject", "action", "number", postgresql_where=sa.text("stage = 'ended'")),
        sa.Index("audit_log_action", "action", "number", postgresql_where=sa.text("stage = 'ended'")),
        sa.Index("audit_log_customer", "customer", postgresql_where=sa.text("customer IS NOT NULL")),
    )
    sa.Table(
        "audit_anchors",
        metadata,
        sa.Column("day", sa.Date, primary_key=True),  # UTC
        sa.Column("number", sa.BigInteger, nullable=False),  # of the last row of the day
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("made_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("mailed_at", moment),  # to an address outside
    )
    sa.Table(
        "audit_customers",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),  # random
        sa.Column("respondent_id", sa.Text, nullable=False, unique=True),
    )
