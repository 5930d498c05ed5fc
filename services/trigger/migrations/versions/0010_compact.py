"""Compact rows of respondents, addresses and decisions: no value is stored twice, and a default is not stored.

Where there are customers already, respondents and decisions are written as before for one more day, because a process
of the version before could not read them. It does not know addresses, whose few rows are written again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
oldest_reader = "0001"

TIME = sa.DateTime(timezone=True)
SINCE = """INSERT INTO compact_rows (since) SELECT CASE WHEN EXISTS (SELECT FROM respondents)
THEN now() + interval '1 day' ELSE '-infinity' END"""

COMPACT_ADDRESSES = """INSERT INTO addresses (invited_at, fingerprint, respondent_id, program_id, further)
SELECT first.at, encode(substring(w.fingerprint FOR 16), 'hex')::uuid, w.respondents[1], first.program,
    CASE WHEN cardinality(w.respondents) > 1 OR rest.contacts <> '{}'
    THEN jsonb_build_array(to_jsonb(coalesce(w.respondents[2:], '{}')), rest.contacts) END
FROM wide_addresses AS w
LEFT JOIN LATERAL (
    SELECT key AS program, value::timestamptz AS at FROM jsonb_each_text(w.last_contacts->'invitation') LIMIT 1
) AS first ON true
CROSS JOIN LATERAL (
    SELECT coalesce((w.last_contacts->'invitation') - first.program, '{}') AS contacts
) AS rest ON CONFLICT DO NOTHING"""
DECISION_INDEX = """DO $$ DECLARE part text; BEGIN
    DROP INDEX decisions_event;
    CREATE INDEX decisions_event ON ONLY decisions {method} (event_id);
    FOR part IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'decisions'::regclass AND c.relname <> 'decisions_first' LOOP
        EXECUTE format('CREATE INDEX %I ON %I {method} (event_id)', part || '_event_id_idx', part);
        EXECUTE format('ALTER INDEX decisions_event ATTACH PARTITION %I', part || '_event_id_idx');
    END LOOP;
END $$"""

WIDE_RESPONDENTS = """UPDATE respondents AS r SET
    customer_id = CASE WHEN r.known_at IS NULL THEN r.customer_id ELSE coalesce(r.customer_id, r.id) END,
    consent = coalesce(r.consent, (
        SELECT coalesce(jsonb_object_agg(channel, letter = 'y') FILTER (WHERE letter <> '-'), '{}')
        FROM (VALUES ('email', 1), ('sms', 2), ('call', 3)) AS c (channel, place),
            LATERAL (SELECT substring(r.consents FROM place FOR 1) AS letter) AS l
    )),
    attributes = coalesce(r.attributes, '{}'),
    first_purchase_at = CASE WHEN r.purchases > 0 THEN coalesce(r.first_purchase_at, r.known_at) END,
    last_purchase_at = CASE WHEN r.purchases > 0 THEN coalesce(r.last_purchase_at, r.known_at) END,
    moments = CASE WHEN r.invited_at IS NULL THEN coalesce(r.moments, '{}') ELSE jsonb_set(
        coalesce(r.moments, '{}'), '{invitation}',
        coalesce(r.moments->'invitation', '{}') || jsonb_build_object(r.program_id, r.invited_at))
    END
WHERE r.consent IS NULL OR r.moments IS NULL"""
NULLABLE = ("consent", "attributes", "moments")


def upgrade() -> None:
    op.create_table("compact_rows", sa.Column("since", TIME, primary_key=True))
    op.execute(SINCE)
    for name in NULLABLE:
        op.alter_column("respondents", name, nullable=True)
    op.add_column("respondents", sa.Column("consents", sa.Text))
    op.add_column("respondents", sa.Column("program_id", sa.Text))
    op.add_column("respondents", sa.Column("invited_at", TIME))
    op.alter_column("decisions", "trail", nullable=True)
    op.execute(DECISION_INDEX.format(method="USING hash"))
    op.rename_table("addresses", "wide_addresses")
    op.execute("ALTER TABLE wide_addresses RENAME CONSTRAINT addresses_pkey TO wide_addresses_pkey")
    op.create_table(
        "addresses",
        sa.Column("invited_at", TIME),
        sa.Column("fingerprint", sa.Uuid, primary_key=True),
        sa.Column("respondent_id", sa.Text),
        sa.Column("program_id", sa.Text),
        sa.Column("further", JSONB),
    )
    op.execute(COMPACT_ADDRESSES)
    op.drop_table("wide_addresses")


def downgrade() -> None:
    """Make all rows those of before; the fingerprints of addresses are too short for that, and are forgotten."""
    op.drop_table("addresses")
    op.create_table(
        "addresses",
        sa.Column("fingerprint", sa.LargeBinary, primary_key=True),
        sa.Column("respondents", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("last_contacts", JSONB, nullable=False),
    )
    op.execute("UPDATE decisions SET trail = '[]' WHERE trail IS NULL")
    op.alter_column("decisions", "trail", nullable=False)
    op.execute(DECISION_INDEX.format(method=""))
    op.execute(WIDE_RESPONDENTS)
    for name in ("invited_at", "program_id", "consents"):
        op.drop_column("respondents", name)
    for name in NULLABLE:
        op.alter_column("respondents", name, nullable=False)
    op.drop_table("compact_rows")
