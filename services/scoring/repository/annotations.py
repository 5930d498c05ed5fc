"""Annotations: texts at a date, such as a new delivery service, shown in the trend."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from shared.database import db
from shared.database.session import Session


@dataclass(frozen=True, slots=True)
class Annotation:
    """`program` None means all programs."""

    id: UUID
    program: str | None
    day: date
    text: str


async def add_annotation(session: Session, annotation: Annotation) -> None:
    sql = "INSERT INTO annotations (id, program, day, text) VALUES ($1, $2, $3, $4)"
    await db.fetch(session, sql, annotation.id, annotation.program, annotation.day, annotation.text)


async def remove_annotation(session: Session, annotation_id: UUID) -> Annotation | None:
    """Remove an annotation and return it; None where there is none."""
    sql = "DELETE FROM annotations WHERE id = $1 RETURNING id, program, day, text"
    return next((Annotation(**row) for row in await db.fetch(session, sql, annotation_id)), None)


_ANNOTATIONS = """SELECT id, program, day, text FROM annotations
WHERE ($1::text IS NULL OR program IS NULL OR program = $1) AND ($2::date IS NULL OR day >= $2)
AND ($3::date IS NULL OR day <= $3) ORDER BY day, id"""


async def read_annotations(
    session: Session, program: str | None, first: date | None = None, last: date | None = None
) -> list[Annotation]:
    """Read the annotations of a program and of all programs, by day; days are inclusive, None is no limit."""
    return [Annotation(**row) for row in await db.fetch(session, _ANNOTATIONS, program, first, last)]
