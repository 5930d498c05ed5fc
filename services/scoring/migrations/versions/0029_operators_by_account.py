"""Operators are known by their account: an id beside each name of an operator.

A process of the version before reads and writes only names. Where it writes one, a trigger fills the id: that of the
only person at work who has exactly this name then, otherwise one made of the name alone, which no person has. A trigger
leaves the id where its person has the name: then the person was renamed. The next revision fills the rows of before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
oldest_reader = "0001"

_ID = """CREATE FUNCTION operator_id_of(called text, known uuid) RETURNS uuid LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN called IS NOT NULL THEN coalesce(
        (SELECT id FROM people WHERE id = known AND name = called),
        (SELECT (array_agg(id))[1] FROM people WHERE name = called AND off_at IS NULL HAVING count(*) = 1),
        encode(substr(sha256(convert_to(called, 'UTF8')), 1, 16), 'hex')::uuid) END
$$"""
_FILL = """CREATE FUNCTION fill_{id}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
    NEW.{id} := operator_id_of(NEW.{name}, NEW.{id});
    RETURN NEW;
END $$"""
_ON_INSERT = """CREATE TRIGGER {table}_new_operator BEFORE INSERT ON {table} FOR EACH ROW
WHEN (NEW.{name} IS NOT NULL AND NEW.{id} IS NULL) EXECUTE FUNCTION fill_{id}()"""
_ON_UPDATE = """CREATE TRIGGER {table}_other_operator BEFORE UPDATE OF {name} ON {table} FOR EACH ROW
WHEN (NEW.{name} IS DISTINCT FROM OLD.{name} AND NEW.{id} IS NOT DISTINCT FROM OLD.{id}) EXECUTE FUNCTION fill_{id}()"""
_OPERATOR = {"name": "operator", "id": "operator_id"}
_HOLDER = {"name": "leased_by", "id": "leased_by_id"}
_WRITTEN = (  # table, its columns, the triggers that it needs
    ("call_tasks", _HOLDER, (_ON_UPDATE,)),
    ("desk_pauses", _OPERATOR, (_ON_INSERT,)),
    ("call_attempts", _OPERATOR, (_ON_INSERT,)),
    ("answers", _OPERATOR, (_ON_INSERT, _ON_UPDATE)),
)


def upgrade() -> None:
    op.execute(_ID)
    for columns in (_HOLDER, _OPERATOR):
        op.execute(_FILL.format(**columns))
    for table, columns, triggers in _WRITTEN:
        op.add_column(table, sa.Column(columns["id"], sa.Uuid))
        for trigger in triggers:
            op.execute(trigger.format(table=table, **columns))
    op.create_index(
        "call_tasks_holder", "call_tasks", ["leased_by_id"], postgresql_where=sa.text("lease_until IS NOT NULL")
    )
    op.create_index("desk_pauses_of", "desk_pauses", ["operator_id"], postgresql_where=sa.text("ended_at IS NULL"))


def downgrade() -> None:
    """Delete the ids: an operator is again whoever has the name."""
    op.drop_index("desk_pauses_of", "desk_pauses")
    op.drop_index("call_tasks_holder", "call_tasks")
    op.execute("DROP FUNCTION fill_operator_id, fill_leased_by_id CASCADE")  # with their triggers
    op.execute("DROP FUNCTION operator_id_of")
    for table, columns, _ in _WRITTEN:
        op.drop_column(table, columns["id"])
