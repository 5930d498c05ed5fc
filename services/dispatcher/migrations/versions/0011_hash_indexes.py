"""Respondents of invitations are found by a hash index: their ids are long and in no order; pages become fuller."""

from alembic import op

revision = "0011"
down_revision = "0010"
oldest_reader = "0001"

HASHED = {
    "invitations_unsubscribe": "unsubscribe",
    "invitations_email": "email_fingerprint",
    "invitations_phone": "phone_fingerprint",
}


def upgrade() -> None:
    for name, column in {**HASHED, "invitations_respondent": "respondent_id"}.items():
        op.drop_index(name, "invitations")
        op.create_index(name, "invitations", [column], postgresql_using="hash", postgresql_with={"fillfactor": 90})


def downgrade() -> None:
    for name, column in HASHED.items():
        op.drop_index(name, "invitations")
        op.create_index(name, "invitations", [column], postgresql_using="hash")
    op.drop_index("invitations_respondent", "invitations")
    op.create_index("invitations_respondent", "invitations", ["respondent_id"])
