"""Answers that are written into fields of a CRM."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"
oldest_reader = "0001"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "crm_fields",
        sa.Column("entity", sa.Text, primary_key=True),
        sa.Column("entity_id", sa.Text, primary_key=True),
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("answered_at", instant, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("erased", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("written", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("look_at", instant, server_default=sa.text("clock_timestamp()")),
    )
    op.create_index("crm_fields_due", "crm_fields", ["look_at"], postgresql_where=sa.text("look_at IS NOT NULL"))
    op.create_index("crm_fields_respondent", "crm_fields", ["respondent_id"])


def downgrade() -> None:
    op.drop_table("crm_fields")
