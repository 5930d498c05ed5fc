"""What machines ask dispatcher."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import schemas
from services.dispatcher.repository import attempts, invitations, mailbox, steps
from shared import problems, web
from shared.db import Sessions


def router(sessions: Sessions) -> APIRouter:
    routes = APIRouter(prefix="/v1")
    transaction = Annotated[AsyncSession, Depends(web.transaction(sessions), scope="function")]

    @routes.get("/invitations/{invitation_id}")
    async def invitation(invitation_id: UUID, session: transaction) -> schemas.InvitationStory:
        """Tell the whole story of an invitation: steps, attempts, reasons, outcome."""
        found = await invitations.story(session, invitation_id)
        if found is None:
            raise problems.NotFound("No such invitation")
        return schemas.invitation_story(
            found, await steps.story(session, invitation_id), await attempts.story(session, invitation_id)
        )

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
