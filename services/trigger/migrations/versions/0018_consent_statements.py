"""What was stated of a customer's consent: when, where, by which words, and to what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
oldest_reader = "0001"


def upgrade() -> None:
    op.add_column("respondents", sa.Column("consent_statements", JSONB))


def downgrade() -> None:
    """Delete the proofs, and which customers allow offers."""
    op.drop_column("respondents", "consent_statements")
