"""Who of the staff logs in by an identity provider."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0014"
down_revision = "0013"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_table(
        "person_identities",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("person", UUID, sa.ForeignKey("people.id", ondelete="CASCADE"), nullable=False, unique=True),
    )


def downgrade() -> None:
    """Forget who logs in by an identity provider; the accounts stay, without a way in."""
    op.drop_table("person_identities")
