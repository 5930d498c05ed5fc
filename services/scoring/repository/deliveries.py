"""Contact attempts and the outcomes of invitations, from dispatcher's events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.scoring.domain.journeys import Attempt
from services.scoring.repository import progress
from services.scoring.repository.scores import journeys
from shared.contract.events import ContactAttempted, InvitationClosed
from shared.database.session import Session


async def store(session: Session, attempted: Sequence[ContactAttempted], closed: Sequence[InvitationClosed]) -> None:
    """Store the highest revision of each attempt, in whatever order they arrive, and the last outcome.

    Outcomes of one invitation arrive in order. To be called once in a transaction.
    """
    attempts: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    for each in attempted:
        attempt = Attempt.of(each.attempt_id, each.revision, each.step, each.channel, each.state, each.at)
        attempts[each.invitation_id].append(attempt)
    outcomes = {each.invitation_id: each.outcome for each in closed}
    if attempts or outcomes:
        await progress.add(session, attempts, outcomes)
        await journeys.mark_pending(session, [*attempts, *outcomes])
