"""Decisions by month of their id: the table of before becomes the first partition, without being copied or read.

The functions make and drop partitions with the rights of the owner of the tables, because the role of a service may
have access to rows only.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
oldest_reader = "0001"

TIME = sa.DateTime(timezone=True)

# an empty table gets the months before this one, so that new decisions have the indexes of new partitions at once
_ATTACH = """DO $$ DECLARE until uuid := decisions_first_until(); BEGIN
    IF NOT EXISTS (SELECT FROM decisions_first) THEN
        until := first_uuid(date_trunc('month', now() AT TIME ZONE 'UTC')::date);
    END IF;
    EXECUTE format('ALTER TABLE decisions ATTACH PARTITION decisions_first FOR VALUES FROM (MINVALUE) TO (%L)', until);
END $$"""

_MAKE = """CREATE FUNCTION make_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
DECLARE
    name text := parent || to_char(month, '_YYYY_MM');
    past_end date := (month + interval '1 month')::date;
BEGIN
    IF NOT has_table_privilege(session_user, parent::regclass, 'INSERT') THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s may not write to %s', session_user, parent);
    END IF;
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions of ' || parent, 0));
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
    IF (SELECT relispartition FROM pg_class WHERE oid = quote_ident(name)::regclass) THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, name, first_uuid(month), first_uuid(past_end));
    RETURN true;
EXCEPTION WHEN invalid_object_definition THEN  -- another partition has this month
    RETURN false;
END $$"""

_DROP = """CREATE FUNCTION drop_partition(parent text, name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
BEGIN
    IF NOT has_table_privilege(session_user, parent::regclass, 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s may not delete from %s', session_user, parent);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits
        WHERE inhparent = quote_ident(parent)::regclass AND inhrelid = to_regclass(quote_ident(name))) THEN
        RAISE undefined_table USING MESSAGE = format('%s has no partition %s', parent, name);
    END IF;
    IF name = parent || '_first' THEN  -- is read by its name
        EXECUTE format('TRUNCATE %I', name);
    ELSE
        EXECUTE format('DROP TABLE %I', name);
    END IF;
END $$"""


def upgrade() -> None:
    op.rename_table("decisions", "decisions_first")
    for name in ("pkey", "once"):
        op.execute(f"ALTER TABLE decisions_first RENAME CONSTRAINT decisions_{name} TO decisions_first_{name}")
    op.execute("ALTER INDEX decisions_respondent RENAME TO decisions_first_respondent")
    op.create_table(
        "decisions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("respondent_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("event_time", TIME, nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("program_id", sa.Text),
        sa.Column("program_version", sa.Integer),
        sa.Column("invitation_id", sa.Uuid),
        sa.Column("trail", JSONB, nullable=False),
        sa.Column("ignored", JSONB),
        sa.Column("shape", sa.Uuid),
        sa.Column("own_values", JSONB),
        postgresql_partition_by="RANGE (id)",
    )
    op.execute(_ATTACH)
    op.execute("ALTER TABLE decisions_first DROP CONSTRAINT decisions_first_ids")
    op.execute("DROP FUNCTION decisions_first_until")
    # after the first partition is attached and only for the next ones: it has indexes of its own
    op.execute("CREATE INDEX decisions_event ON ONLY decisions (event_id)")
    op.execute("CREATE INDEX decisions_respondent ON ONLY decisions (respondent_id)")
    op.execute(_MAKE)
    op.execute(_DROP)
    op.execute(
        "SELECT make_partition('decisions', (date_trunc('month', now() AT TIME ZONE 'UTC')"
        " + n * interval '1 month')::date) FROM generate_series(0, 2) AS n"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE decisions DETACH PARTITION decisions_first")
    op.execute("INSERT INTO decisions_first SELECT * FROM decisions")
    op.drop_table("decisions")
    op.execute("DROP FUNCTION drop_partition, make_partition")
    op.rename_table("decisions_first", "decisions")
    for name in ("pkey", "once"):
        op.execute(f"ALTER TABLE decisions RENAME CONSTRAINT decisions_first_{name} TO decisions_{name}")
    op.execute("ALTER INDEX decisions_first_respondent RENAME TO decisions_respondent")
    op.execute(
        "CREATE FUNCTION decisions_first_until() RETURNS uuid LANGUAGE sql IMMUTABLE"
        " AS $$ SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid $$"
    )
    op.execute("ALTER TABLE decisions ADD CONSTRAINT decisions_first_ids CHECK (id < decisions_first_until())")
