"""Tables of current answers and of the versions of amended ones: the only version of an answer is its row."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.scoring.models.columns import Moment, metadata


def _version_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("extra", JSONB, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("suspect", sa.Boolean, nullable=False),
        sa.Column("answered_at", Moment, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("callback_wanted", sa.Boolean, nullable=False),
        sa.Column("operator", sa.Text),
        sa.Column("suspicion", sa.Text),
    ]


answers = sa.Table(
    "answers",
    metadata,
    sa.Column("invitation_id", sa.Uuid, primary_key=True),
    sa.Column("answer_id", sa.Uuid, nullable=False),
    *_version_columns(),
    sa.Index("answers_answer", "answer_id", unique=True),
    sa.Index("answers_answered", "answered_at"),
    sa.Index("answers_day", "first_day"),
    sa.Index("answers_commented", "answered_at", postgresql_where=sa.text("comment IS NOT NULL")),
    sa.Index("answers_suspect", "answered_at", postgresql_where=sa.text("suspect")),
)

answer_versions = sa.Table(
    "answer_versions",
    metadata,
    sa.Column("answer_id", sa.Uuid, primary_key=True),
    *(
        column if column.name != "version" else sa.Column("version", sa.Integer, primary_key=True)
        for column in _version_columns()
    ),
)
