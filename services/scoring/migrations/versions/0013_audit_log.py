"""The audit log: rows that are appended and never changed, an anchor for each day, random ids of customers.

A trigger refuses to change rows, and to delete others than the rows up to an anchor.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
oldest_reader = "0001"

_REFUSE = """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE insufficient_privilege USING MESSAGE = format('rows of %s are never changed', TG_TABLE_NAME);
END $$"""
_DROPPED = """CREATE FUNCTION audit_dropped() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    last bigint := (SELECT max(number) FROM dropped);
BEGIN
    IF last IS NOT NULL AND (NOT EXISTS (SELECT FROM audit_anchors WHERE number = last)
            OR EXISTS (SELECT FROM audit_log WHERE number <= last)) THEN
        RAISE insufficient_privilege USING MESSAGE = 'of audit_log, only whole anchored days are deleted, oldest first';
    END IF;
    RETURN NULL;
END $$"""
_TRIGGERS = (
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE OR TRUNCATE ON audit_log EXECUTE FUNCTION audit_refuse()",
    """CREATE TRIGGER audit_anchors_unchanged BEFORE UPDATE OF day, number, hash, made_at OR DELETE OR TRUNCATE
ON audit_anchors EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_dropped AFTER DELETE ON audit_log REFERENCING OLD TABLE AS dropped
EXECUTE FUNCTION audit_dropped()""",
)


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("of", sa.BigInteger),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("customer", sa.Uuid),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("status", sa.SmallInteger),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Index("audit_log_at", "at"),
        sa.Index("audit_log_actor", "actor", "number"),
        sa.Index("audit_log_of", "of", unique=True, postgresql_where=sa.text("of IS NOT NULL")),
        sa.Index("audit_log_customer", "customer", postgresql_where=sa.text("customer IS NOT NULL")),
    )
    op.create_table(
        "audit_anchors",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("made_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("mailed_at", moment),
    )
    op.create_table(
        "audit_customers",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("respondent_id", sa.Text, nullable=False, unique=True),
    )
    for statement in (_REFUSE, _DROPPED, *_TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    """Delete the log, which the version before does not know."""
    for table in ("audit_customers", "audit_anchors", "audit_log"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_dropped, audit_refuse")
