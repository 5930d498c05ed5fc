"""Tables of current answers and of the versions of amended ones: the only version of an answer is its row."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.scoring.models.columns import Moment, metadata

# Letters that are searched as others: capital Cyrillic ones, which a database with the locale C does not know, and ё.
# Between angle brackets PostgreSQL sees a tag of HTML, and no words. Signs beyond ASCII are letters to it under C.
_SIGNS = "<>«»“”„‘’—–…\u00a0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # noqa: RUF001 - the signs themselves
WRITTEN = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯё" + _SIGNS
SEARCHED = "абвгдеежзийклмнопрстуфхцчшщъыьэюяе" + " " * len(_SIGNS)
# the configuration `russian` stems words of Latin letters as English ones
WORDS_OF_COMMENT = f"to_tsvector('russian', translate(comment, '{WRITTEN}', '{SEARCHED}'))"
HAS_COMMENT = sa.text("comment IS NOT NULL")


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
    sa.Column("operator_id", sa.Uuid),  # NULL in rows that were old when the column came
    sa.Index("answers_answer", "answer_id", unique=True),
    sa.Index("answers_answered", "answered_at"),
    sa.Index("answers_day", "first_day"),
    sa.Index("answers_commented", "answered_at", postgresql_where=HAS_COMMENT),
    sa.Index(
        "answers_words",
        sa.text(WORDS_OF_COMMENT),
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},  # in kB; see invitations_dimensions
        postgresql_where=HAS_COMMENT,
    ),
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

quotes = sa.Table(  # consents of respondents that their words may be quoted
    "quotes",
    metadata,
    sa.Column("answer_id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),  # "" for none
    sa.Column("wording", sa.Text, nullable=False),
    sa.Column("given_at", Moment, nullable=False),
    sa.Column("withdrawn_at", Moment),
)

answer_tags = sa.Table(  # words of the staff
    "answer_tags",
    metadata,
    sa.Column("answer_id", sa.Uuid, primary_key=True),
    sa.Column("tag", sa.Text, primary_key=True),
    sa.Index("answer_tags_tag", "tag", "answer_id"),
)
