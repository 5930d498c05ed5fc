"""Fingerprints of the addresses of invitations, and the addresses that suppressions bind."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0004"
down_revision = "0003"
oldest_reader = "0001"

KINDS = ("email", "phone")


def upgrade() -> None:
    for name in KINDS:
        op.add_column("invitations", sa.Column(f"{name}_fingerprint", sa.LargeBinary))
    op.add_column("invitations", sa.Column("address_key", sa.Text))
    for name in KINDS:
        column = f"{name}_fingerprint"
        op.create_index(
            f"invitations_{name}", "invitations", [column], postgresql_where=sa.text(f"{column} IS NOT NULL")
        )
    op.create_index("invitations_unmarked", "invitations", ["id"], postgresql_where=sa.text("address_key IS NULL"))
    op.add_column("suppressions", sa.Column("is_bound", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("suppressions_unbound", "suppressions", ["id"], postgresql_where=sa.text("NOT is_bound"))
    op.create_index(
        "suppressions_address", "suppressions", ["address"], postgresql_where=sa.text("address IS NOT NULL")
    )
    op.create_table(
        "bound_addresses",
        sa.Column("suppression_id", UUID, sa.ForeignKey("suppressions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, primary_key=True),
        sa.Column("address_key", sa.Text),
    )
    op.create_index("bound_addresses_fingerprint", "bound_addresses", ["fingerprint"])


def downgrade() -> None:
    op.drop_table("bound_addresses")
    op.drop_index("suppressions_address", "suppressions")
    op.drop_index("suppressions_unbound", "suppressions")
    op.drop_column("suppressions", "is_bound")
    op.drop_index("invitations_unmarked", "invitations")
    op.drop_column("invitations", "address_key")
    for name in KINDS:
        op.drop_column("invitations", f"{name}_fingerprint")
