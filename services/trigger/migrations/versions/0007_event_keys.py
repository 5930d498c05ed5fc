"""Keys of decided events, which outlive the decisions; and a bound for the ids of the decisions that exist.

The bound is the first day of the month after next, as the smallest UUID of version 7 of that moment. Old rows are not
checked yet: that reads the table, which the next revision does without blocking anybody. A function has the bound, so
that the constraint reads the same in every installation.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
oldest_reader = "0001"

_FIRST_UUID = """CREATE FUNCTION first_uuid(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM day) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$"""
_UNTIL = """DO $$ BEGIN
    EXECUTE format('CREATE FUNCTION decisions_first_until() RETURNS uuid LANGUAGE sql IMMUTABLE AS %L', format(
        'SELECT %L::uuid', first_uuid(date_trunc('month', now() AT TIME ZONE 'UTC' + interval '2 months')::date)));
END $$"""
_CHECK = "ALTER TABLE decisions ADD CONSTRAINT decisions_first_ids CHECK (id < decisions_first_until()) NOT VALID"


def upgrade() -> None:
    op.create_table("event_keys", sa.Column("key", sa.Uuid, primary_key=True))
    op.execute(_FIRST_UUID)
    op.execute(_UNTIL)
    op.execute(_CHECK)


def downgrade() -> None:
    op.execute("ALTER TABLE decisions DROP CONSTRAINT decisions_first_ids")
    op.execute("DROP FUNCTION decisions_first_until, first_uuid")
    op.drop_table("event_keys")
