"""Indexes of the audit log by what was done, and to what: lists show who changed each entry last."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
oldest_reader = "0001"

_INDEXES = {"audit_log_subject": ["subject", "action", "number"], "audit_log_action": ["action", "number"]}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.create_index(name, "audit_log", columns, postgresql_where=sa.text("stage = 'ended'"))


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "audit_log")
