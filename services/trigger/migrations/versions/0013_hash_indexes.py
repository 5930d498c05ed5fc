"""Ids of respondents, which are long and in no order, are found by a hash index of half the bytes.

Respondents of a day are sorted when they are read: of one place in the cadences there are few.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
oldest_reader = "0001"

# `decisions_first` has indexes of its own
INDEX = """DO $$ DECLARE part text; BEGIN
    DROP INDEX {name};
    CREATE INDEX {name} ON ONLY decisions {method};
    FOR part IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'decisions'::regclass AND c.relname <> 'decisions_first' LOOP
        EXECUTE format('CREATE INDEX %I ON %I {method}', part || '_{column}_idx', part);
        EXECUTE format('ALTER INDEX {name} ATTACH PARTITION %I', part || '_{column}_idx');
    END LOOP;
END $$"""
COLUMNS = {"decisions_event": "event_id", "decisions_respondent": "respondent_id"}
BEFORE = {"decisions_event": "USING hash (event_id)", "decisions_respondent": "(respondent_id)"}


def upgrade() -> None:
    for name, column in COLUMNS.items():
        method = f"USING hash ({column}) WITH (fillfactor = 90)"
        op.execute(INDEX.format(name=name, column=column, method=method))
    op.drop_index("respondents_spread", "respondents")
    op.create_index("respondents_spread", "respondents", ["spread"])


def downgrade() -> None:
    for name, column in COLUMNS.items():
        op.execute(INDEX.format(name=name, column=column, method=BEFORE[name]))
    op.drop_index("respondents_spread", "respondents")
    op.create_index("respondents_spread", "respondents", ["spread", "id"])
