"""Comments can be searched by their words."""

from alembic import op

revision = "0025"
down_revision = "0024"
oldest_reader = "0001"

_SIGNS = "<>«»“”„‘’—–…\u00a0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # noqa: RUF001 - the signs themselves
_WRITTEN = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯё" + _SIGNS
_SEARCHED = "абвгдеежзийклмнопрстуфхцчшщъыьэюяе" + " " * len(_SIGNS)
_WORDS = f"to_tsvector('russian', translate(comment, '{_WRITTEN}', '{_SEARCHED}'))"


def upgrade() -> None:
    op.execute(
        f"CREATE INDEX answers_words ON answers USING gin (({_WORDS})) "
        "WITH (gin_pending_list_limit = 256) WHERE comment IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index("answers_words", table_name="answers")
