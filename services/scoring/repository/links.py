"""Finds the invitations of answer links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.scoring.domain.bot_detection import DEFAULT_WINDOWS, ScannerWindows
from services.scoring.domain.invitations import LinkVisit, ResolvedLink
from services.scoring.repository import invitations, progress
from services.scoring.repository.invitations import COLUMNS, JOIN
from shared.database import db
from shared.database.session import Session

_RESOLVE = f"""SELECT k.place, {COLUMNS},
(SELECT count(DISTINCT v.score) FROM page_views v WHERE v.invitation_id = i.id AND v.at > k.at - $3::interval) AS links,
(SELECT p.attempts FROM progress p WHERE p.invitation_id = i.id) AS attempts,
EXISTS (SELECT FROM attempts t WHERE t.invitation_id = i.id AND t.state IN ('sent', 'delivered')
AND t.at > k.at - $4::interval) AS soon
FROM unnest($1::bytea[], $2::timestamptz[]) WITH ORDINALITY AS k (fingerprint, at, place)
JOIN invitation_details i USING (fingerprint) {JOIN}"""  # noqa: S608 - column names only
_LOCK = "SELECT id FROM invitations WHERE fingerprint = ANY($1::bytea[]) ORDER BY id FOR UPDATE"


async def resolve(
    session: Session, visits: Sequence[LinkVisit], *, windows: ScannerWindows = DEFAULT_WINDOWS
) -> list[ResolvedLink | None]:
    """Find the invitation of each link, in the order of the visits; None where no invitation has this link."""
    fingerprints, moments = [visit.fingerprint for visit in visits], [visit.at for visit in visits]
    rows = await db.fetch(session, _RESOLVE, fingerprints, moments, windows.links, windows.after_send)
    found = {
        row["place"]: ResolvedLink(
            invitation,
            row["links"],
            row["soon"] or _sent(row["attempts"], moments[row["place"] - 1] - windows.after_send),
        )
        for row, invitation in zip(rows, invitations.of_rows(rows), strict=True)
    }
    return [found.get(place) for place in range(1, len(visits) + 1)]


def _sent(attempts: bytes | None, after: datetime) -> bool:
    return any(attempt.sent and attempt.at > after for attempt in progress.read_attempts(attempts))


async def resolve_and_lock(
    session: Session, visits: Sequence[LinkVisit], *, windows: ScannerWindows = DEFAULT_WINDOWS
) -> list[ResolvedLink | None]:
    """Resolve links and lock their invitations until the end of the transaction.

    An invitation that another transaction commits after the lock statement is not locked: its link is None, too.
    """
    locked = {row["id"] for row in await db.fetch(session, _LOCK, [visit.fingerprint for visit in visits])}
    found = await resolve(session, visits, windows=windows)
    return [each if each and each.invitation.id in locked else None for each in found]
