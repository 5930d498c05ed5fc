"""Respondents know how their id was made; addresses are identities of their own, with contacts and suppressions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
oldest_reader = "0001"

# suppressions of before this release bind the addresses that their respondents have now
_BIND = """INSERT INTO address_suppressions (fingerprint, channel, program, reason, until)
SELECT sha256(convert_to(lower(btrim(a.address)), 'UTF8')), s.channel, s.program, s.reason,
    CASE WHEN bool_or(s.until IS NULL) THEN NULL ELSE max(s.until) END
FROM suppressions AS s JOIN respondents AS r ON r.id = s.respondent_id
CROSS JOIN LATERAL (VALUES ('email', r.email), ('sms', r.phone)) AS a (channel, address)
WHERE a.address IS NOT NULL AND s.reason <> 'soft_bounce'
    AND (s.channel IS NULL OR (s.channel = 'email') = (a.channel = 'email'))
GROUP BY 1, 2, 3, 4"""


def upgrade() -> None:
    # the default holds for rows of before this column, and of a release that does not know it yet
    op.add_column("respondents", sa.Column("has_older_id", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("respondents", sa.Column("address_source", sa.Text))
    op.create_table(
        "addresses",
        sa.Column("fingerprint", sa.LargeBinary, primary_key=True),
        sa.Column("respondents", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("last_contacts", JSONB, nullable=False),
    )
    op.create_table(
        "address_suppressions",
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("program", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.UniqueConstraint(
            "fingerprint",
            "channel",
            "program",
            "reason",
            name="address_suppressions_once",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.execute(_BIND)
    op.execute("CREATE INDEX respondents_guest ON respondents (right(id, 32)) WHERE id LIKE '%guest-%'")


def downgrade() -> None:
    op.drop_index("respondents_guest", "respondents")
    op.drop_table("address_suppressions")
    op.drop_table("addresses")
    op.drop_column("respondents", "address_source")
    op.drop_column("respondents", "has_older_id")
