"""Tags of answers: given, taken away, renamed and counted."""

from __future__ import annotations

from uuid import UUID

from shared.database import db
from shared.database.session import Session

MOST_IN_USE = 500
_ADD = "INSERT INTO answer_tags (answer_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING tag"
_REMOVE = "DELETE FROM answer_tags WHERE answer_id = $1 AND tag = $2 RETURNING tag"
_COMMENTED = "SELECT 1 FROM answers WHERE answer_id = $1 AND comment IS NOT NULL"
_OF = "SELECT tag FROM answer_tags WHERE answer_id = $1 ORDER BY tag"
# one look-up in the index for each tag, however many answers have it
_IN_USE = f"""WITH RECURSIVE used AS (SELECT min(tag) AS tag FROM answer_tags UNION ALL
SELECT (SELECT min(tag) FROM answer_tags a WHERE a.tag > used.tag) FROM used WHERE used.tag IS NOT NULL)
SELECT tag FROM used WHERE tag IS NOT NULL LIMIT {MOST_IN_USE}"""  # noqa: S608 - a number
_USES = "SELECT count(*) AS n FROM answer_tags WHERE tag = $1"
_RENAME = """WITH old AS (DELETE FROM answer_tags WHERE tag = $1 RETURNING answer_id)
INSERT INTO answer_tags (answer_id, tag) SELECT answer_id, $2 FROM old ON CONFLICT DO NOTHING"""
_DROP = "WITH old AS (DELETE FROM answer_tags WHERE tag = $1 RETURNING 1) SELECT count(*) AS n FROM old"


async def add(session: Session, answer_id: UUID, tag: str) -> bool:
    """Give an answer a tag; False if it has it."""
    return bool(await db.fetch(session, _ADD, answer_id, tag))


async def remove(session: Session, answer_id: UUID, tag: str) -> bool:
    """Take a tag away from an answer; False if it does not have it."""
    return bool(await db.fetch(session, _REMOVE, answer_id, tag))


async def may_have_some(session: Session, answer_id: UUID) -> bool:
    """Say whether an answer has a comment, which tags are about."""
    return bool(await db.fetch(session, _COMMENTED, answer_id))


async def of(session: Session, answer_id: UUID) -> list[str]:
    """Return the tags of an answer, sorted."""
    return [row["tag"] for row in await db.fetch(session, _OF, answer_id)]


async def in_use(session: Session) -> list[str]:
    """Return the tags that answers have, sorted, at most MOST_IN_USE."""
    return [row["tag"] for row in await db.fetch(session, _IN_USE)]


async def uses(session: Session, tag: str) -> int:
    """Count the answers with a tag, whatever their program and store."""
    return int((await db.fetch(session, _USES, tag))[0]["n"])


async def rename(session: Session, tag: str, *, to: str) -> None:
    """Give every answer with one tag the other one in its place."""
    await db.fetch(session, _RENAME, tag, to)


async def drop(session: Session, tag: str) -> int:
    """Take a tag away from every answer; return how many had it."""
    return int((await db.fetch(session, _DROP, tag))[0]["n"])
