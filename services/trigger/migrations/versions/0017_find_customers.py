"""A customer is found by e-mail address, telephone and order; services tell that they have erased one."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
oldest_reader = "0001"

INDEXES: dict[str, tuple[str, Any]] = {
    "respondents_email": ("respondents", sa.text("lower(email)")),
    "respondents_phone": ("respondents", "phone"),
    "touchpoints_ref": ("touchpoints", "ref"),
}


def upgrade() -> None:
    for name, (table, column) in INDEXES.items():
        op.create_index(name, table, [column], postgresql_using="hash", postgresql_with={"fillfactor": "90"})
    op.create_table(
        "erasures",
        sa.Column("respondent_id", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("places", JSONB, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("erasures")
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table)
