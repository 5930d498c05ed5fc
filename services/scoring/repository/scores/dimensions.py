"""The values of each dimension that are counted by name, up to a limit."""

from __future__ import annotations

from collections.abc import Iterable

from services.scoring.domain.dimensions import DimensionValue, admitted
from shared.database import db
from shared.database.session import Session

_KNOWN = """SELECT program, dimension, value FROM dimension_values
JOIN unnest($1::text[], $2::text[], $3::text[]) AS w (program, dimension, value) USING (program, dimension, value)"""
_SIZES = """SELECT program, dimension, count(*) AS n FROM dimension_values
JOIN unnest($1::text[], $2::text[]) AS w (program, dimension) USING (program, dimension) GROUP BY 1, 2"""
_ADMIT = """INSERT INTO dimension_values (program, dimension, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING"""
_NAMES = "SELECT DISTINCT dimension FROM dimension_values WHERE $1::text IS NULL OR program = $1 ORDER BY dimension"


async def admit(session: Session, values: Iterable[DimensionValue]) -> set[DimensionValue]:
    """Return which of these values are counted by name; new ones are admitted up to the limit of their dimension."""
    unique = sorted(set(values))
    known = {DimensionValue(*row) for row in await db.fetch(session, _KNOWN, *_columns(unique))} if unique else set()
    if known.issuperset(unique):
        return known
    dimensions = sorted({value[:2] for value in unique})
    rows = await db.fetch(session, _SIZES, [program for program, _ in dimensions], [name for _, name in dimensions])
    new = admitted(unique, known=known, sizes={(row["program"], row["dimension"]): row["n"] for row in rows})
    if new:
        await db.fetch(session, _ADMIT, *_columns(sorted(new)))
    return known | new


def _columns(values: list[DimensionValue]) -> list[list[str]]:
    return [list(column) for column in zip(*values, strict=True)]


async def names(session: Session, program: str | None) -> list[str]:
    """Read the names of all segments that survey requests of a program ever had; None is for all programs."""
    return [row["dimension"] for row in await db.fetch(session, _NAMES, program)]
