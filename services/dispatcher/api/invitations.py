"""What machines ask dispatcher."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import history, schemas
from services.dispatcher.messages.composer import Composer
from services.dispatcher.repository import invitations, mailbox
from shared.clock import Clock
from shared.contract.events import Id
from shared.contract.vocabulary import respondent_id
from shared.database.db import Sessions
from shared.web import problems
from shared.web.app import committing


def router(sessions: Sessions, composer: Composer, clock: Clock) -> APIRouter:
    routes = APIRouter(prefix="/v1")
    transaction = Annotated[AsyncSession, Depends(committing(sessions), scope="function")]

    @routes.get("/invitations")
    async def newest(
        session: transaction, customer: Id | None = None, outcome: schemas.Outcome | None = None
    ) -> schemas.InvitationList:
        """List what a customer, or anybody, was asked, the newest first, 100 at most."""
        return await history.newest(session, customer=customer, outcome=outcome)

    @routes.get("/invitations/{invitation_id}")
    async def invitation(invitation_id: UUID, session: transaction) -> schemas.InvitationHistory:
        """Tell the whole story of an invitation: steps, attempts, reasons, outcome."""
        return await history.tell(session, invitation_id)

    @routes.post("/links")
    async def link(wanted: schemas.LinkWanted, session: transaction) -> schemas.LinkGiven:
        """Give the answer page of an open invitation, for a page, a chat or a receipt of the shop's own."""
        respondent = respondent_id(wanted.customer) if wanted.customer else None
        found = await invitations.open_one(
            session, invitation_id=wanted.invitation_id, respondent_id=respondent, now=clock.now()
        )
        if found is None:
            raise problems.NotFound("No open invitation", "Nobody was asked, or it has been answered or ended.")
        if wanted.step and wanted.step not in (steps := [planned.step for planned in found.plan]):
            raise problems.Unprocessable(
                "No such step", f"Its plan has {', '.join(map(str, steps))}; 0 is none of them."
            )
        url = composer.answer_link(found, step=wanted.step)
        return schemas.LinkGiven(invitation_id=found.invitation_id, url=url, expires_at=found.expires_at)

    @routes.get("/mailbox")
    async def messages(
        session: transaction,
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> schemas.Mailbox:
        """List messages kept instead of sent, in order of arrival, after a cursor.

        Two that arrive at once may become visible in the other order: a reader that must see each asks again from
        a little before the last cursor and skips the ids it knows.
        """
        kept = await mailbox.after(session, after, limit=limit)
        return schemas.Mailbox(messages=[schemas.kept_message(message) for message in kept])

    return routes
