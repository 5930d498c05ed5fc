"""Tasks of a CRM by their invitation, so that old invitations can be deleted."""

from alembic import op

revision = "0007"
down_revision = "0006"
oldest_reader = "0001"


def upgrade() -> None:
    op.create_index("crm_tasks_invitation", "crm_tasks", ["invitation_id"])


def downgrade() -> None:
    op.drop_index("crm_tasks_invitation", "crm_tasks")
