"""A customer is found by e-mail address, telephone and order."""

from typing import Any

import sqlalchemy as sa
from alembic import op

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


def downgrade() -> None:
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table)
