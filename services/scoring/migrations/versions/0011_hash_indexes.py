"""Fingerprints of links and ids of respondents, which are long and in no order, are found by hash indexes.

A hash index cannot be unique; the fingerprint follows from the id, which is.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
oldest_reader = "0001"

HASHED = {"invitations_fingerprint": "fingerprint", "invitations_respondent": "respondent_id"}


def upgrade() -> None:
    for name, column in HASHED.items():
        op.drop_index(name, "invitations")
        op.create_index(name, "invitations", [column], postgresql_using="hash", postgresql_with={"fillfactor": 90})


def downgrade() -> None:
    for name, column in HASHED.items():
        op.drop_index(name, "invitations")
        op.create_index(name, "invitations", [column], unique=name == "invitations_fingerprint")
