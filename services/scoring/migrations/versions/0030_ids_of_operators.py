"""Rows of before get the ids of their operators, as far as a page or a figure still asks who they were.

Apart from the columns, so that their tables are not locked meanwhile. An open pause of a name that several people have
is ended, because none of them could end it.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
oldest_reader = "0001"

_FILL = """WITH known AS MATERIALIZED (SELECT called, operator_id_of(called, NULL) AS id
FROM (SELECT DISTINCT {name} AS called FROM {table} WHERE {wanted}) names)
UPDATE {table} SET {id} = known.id FROM known WHERE {name} = known.called AND {id} IS NULL AND {wanted}"""
_YOUNG = "{0} > (SELECT max({0}) - interval '31 days' FROM {1})"
_OPERATOR = {"name": "operator", "id": "operator_id"}
_CALLS = f"leased_by IS NOT NULL AND (state <> 'closed' OR {_YOUNG.format('closed_at', 'call_tasks')})"
_ANSWERS = f"operator IS NOT NULL AND {_YOUNG.format('answered_at', 'answers')}"
_WANTED = (  # table, its columns, which rows get an id
    ("call_tasks", {"name": "leased_by", "id": "leased_by_id"}, _CALLS),
    ("desk_pauses", _OPERATOR, "true"),
    ("call_attempts", _OPERATOR, _YOUNG.format("at", "call_attempts")),
    ("answers", _OPERATOR, _ANSWERS),
)
_END = """UPDATE desk_pauses SET ended_at = clock_timestamp() WHERE ended_at IS NULL
AND operator IN (SELECT name FROM people WHERE off_at IS NULL GROUP BY name HAVING count(*) > 1)"""


def upgrade() -> None:
    for table, columns, wanted in _WANTED:
        op.execute(_FILL.format(table=table, wanted=wanted, **columns))
    op.execute(_END)


def downgrade() -> None:
    """Leave the ids: their columns go with the revision before."""
