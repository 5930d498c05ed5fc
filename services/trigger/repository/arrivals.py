"""What became of the messages of a source: the latest decisions, parked messages, and counts of all others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.respondents import GAVE_ANOTHER_ADDRESS
from services.trigger.repository import decisions
from shared.database import db
from shared.database.session import Session
from shared.messaging import parking
from shared.messaging.parking import Parked

LOOKED_AT = 5_000  # of the newest decisions and parked messages: there is no index by source

_COUNT = """INSERT INTO arrivals AS a (source, outcome, count, last_at) VALUES ($1, $2, 1, clock_timestamp())
ON CONFLICT (source, outcome) DO UPDATE SET count = a.count + 1, last_at = excluded.last_at"""
_COUNTS = "SELECT outcome, count, last_at FROM arrivals WHERE source = $1 ORDER BY last_at DESC"
_DECIDED = f"""SELECT {decisions.SELECTED} FROM (SELECT * FROM decisions ORDER BY id DESC LIMIT $2) AS d
WHERE source = $1 ORDER BY id DESC LIMIT $3"""  # noqa: S608 - column names only
_SOURCES = """SELECT source, max(decided_at) AS last_at, count(*) AS n
FROM (SELECT source, decided_at FROM decisions ORDER BY id DESC LIMIT $1) d GROUP BY source ORDER BY 2 DESC LIMIT 200"""
_PARKED = """SELECT id FROM (SELECT id, headers FROM parked WHERE topic = 'crm.events' ORDER BY id DESC LIMIT $2) p
WHERE CASE WHEN $1::text IS NULL THEN headers NOT LIKE '%"earshot-source": %'
    ELSE position('"earshot-source": "' || $1 || '"' IN headers) > 0 END
ORDER BY id DESC LIMIT $3"""
_CLASHED = """SELECT count(DISTINCT respondent_id) AS n
FROM (SELECT respondent_id, ignored FROM decisions ORDER BY id DESC LIMIT $1) d
WHERE EXISTS (SELECT FROM jsonb_array_elements(d.ignored) AS e WHERE right(e->>'why', length($2)) = $2)"""


@dataclass(frozen=True, slots=True)
class ArrivalCount:
    """How many messages of a source ended so, and when the last one did; machine time."""

    outcome: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class SeenSource:
    """A source of recent decisions; `decided` is how many of the newest LOOKED_AT decisions are its own."""

    source: str
    decided: int
    last_at: datetime


async def count(session: Session, source: str, outcome: str) -> None:
    await db.fetch(session, _COUNT, source, outcome)


async def counts(session: Session, source: str) -> list[ArrivalCount]:
    return [ArrivalCount(**row) for row in await db.fetch(session, _COUNTS, source)]


async def decided(session: Session, source: str, *, limit: int) -> list[StoredDecision]:
    """Return the newest decisions about events of a source, if they are among the newest LOOKED_AT of all."""
    return [decisions.decision_of(row) for row in await db.fetch(session, _DECIDED, source, LOOKED_AT, limit)]


async def seen(session: Session) -> list[SeenSource]:
    """Return the sources of the newest LOOKED_AT decisions, the latest first."""
    return [SeenSource(row["source"], row["n"], row["last_at"]) for row in await db.fetch(session, _SOURCES, LOOKED_AT)]


async def clashed(session: Session) -> int:
    """Return how many customers of the newest LOOKED_AT decisions have addresses that replaced another source's."""
    return int((await db.fetch(session, _CLASHED, LOOKED_AT, GAVE_ANOTHER_ADDRESS))[0]["n"])


async def parked(session: Session, source: str | None, *, limit: int) -> list[Parked]:
    """Return the newest parked messages of a source, newest first; with None those that name no source."""
    ids = [row["id"] for row in await db.fetch(session, _PARKED, source, LOOKED_AT, limit)]
    return sorted(await parking.list_parked(session, limit=limit, ids=ids), key=lambda row: row.id, reverse=True)
