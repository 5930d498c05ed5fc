"""Weekly counts to find drops of a score in, and the drops that were already reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from services.scoring.domain.alerts import ComparedWeeks, ScoreDrop, WeeklyChange
from services.scoring.domain.score import Tally
from services.scoring.models.scores import COUNTERS
from services.scoring.repository.scores.buckets import tally_of_row
from shared.database import db
from shared.database.session import Session

_BEGIN = "INSERT INTO alert_days (day) VALUES ($1) ON CONFLICT DO NOTHING RETURNING day"
_FORGET = "DELETE FROM alert_days WHERE day < $1"


async def begin_day(session: Session, day: date) -> bool:
    """Claim a day for one check; false when it was checked before or another process claimed it."""
    if not await db.fetch(session, _BEGIN, day):
        return False
    await db.fetch(session, _FORGET, day)
    return True


_WEEKS = f"""SELECT program, dimension, value, day > $2 AS recent,
{", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)}
FROM buckets WHERE day BETWEEN $1 AND $3 GROUP BY 1, 2, 3, 4"""  # noqa: S608 - column names only


async def weekly_changes(session: Session, week: ComparedWeeks) -> list[WeeklyChange]:
    """Read every series that had answers in either week."""
    sums: defaultdict[tuple[str, str, str], dict[bool, Tally]] = defaultdict(dict)
    for row in await db.fetch(session, _WEEKS, week.first, week.middle, week.last):
        sums[row["program"], row["dimension"], row["value"]][row["recent"]] = tally_of_row(row)
    return [WeeklyChange(*key, both.get(False, Tally()), both.get(True, Tally())) for key, both in sums.items()]


_MARK_TOLD = """INSERT INTO alerts (program, dimension, value, period)
SELECT *, $4::date FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
RETURNING program, dimension, value"""


async def mark_told(session: Session, drops: Sequence[ScoreDrop], *, period: date) -> list[ScoreDrop]:
    """Mark drops as reported in this period; returns those that were not reported before."""
    keys = {(each.change.program, each.change.dimension, each.change.value): each for each in drops}
    if not keys:
        return []
    columns = [list(column) for column in zip(*sorted(keys), strict=True)]
    return [keys[tuple(row)] for row in await db.fetch(session, _MARK_TOLD, *columns, period)]
