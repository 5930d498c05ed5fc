"""API keys for the paths of this service, as trigger has them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
oldest_reader = "0001"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", moment),
        sa.Column("revoked_at", moment),
    )


def downgrade() -> None:
    """Delete the keys, which the version before does not know."""
    op.drop_table("api_keys")
