"""The JSON API of invitations: their history, links to answer pages, and messages kept in the mailbox."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.dispatcher import history, schemas
from services.dispatcher.messages.composer import Composer
from services.dispatcher.repository import invitations, mailbox
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Id, SurveyRequested
from shared.database.session import Sessions
from shared.web import problems
from shared.web.audit.acts import note
from shared.web.staff.tickets import staff_scope


@dataclass(frozen=True, slots=True)
class InvitationApi:
    sessions: Sessions
    composer: Composer
    clock: Clock
    address_keys: AddressKeys

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1")
        router.add_api_route("/invitations", self.newest, methods=["GET"])
        router.add_api_route("/invitations/{invitation_id}", self.invitation, methods=["GET"])
        router.add_api_route("/links", self.link, methods=["POST"])
        router.add_api_route("/mailbox", self.messages, methods=["GET"])
        return router

    async def newest(
        self, customer: Id | None = None, outcome: schemas.OutcomeFilter | None = None
    ) -> schemas.InvitationList:
        """List at most 100 invitations, newest first: of a customer, an address or all, with one outcome or any."""
        async with self.sessions.begin() as session:
            return await history.newest(
                session, self.address_keys, customer=customer, outcome=outcome, scope=staff_scope.get()
            )

    async def invitation(self, invitation_id: UUID) -> schemas.InvitationHistory:
        """Read the history of an invitation: its steps and attempts, with their reasons, and its outcome."""
        async with self.sessions.begin() as session:
            return await history.of_invitation(session, invitation_id, scope=staff_scope.get())

    async def link(self, asked: schemas.LinkRequest) -> schemas.LinkResponse:
        """Return the link to an open invitation's answer page, for the shop's own page, chat or receipt."""
        async with self.sessions.begin() as session:
            request = await invitations.open_one(
                session, invitation_id=asked.invitation_id, customer=asked.customer, now=self.clock.now()
            )
        if request is None:
            raise problems.NotFound("No open invitation", "It does not exist, was answered, or has ended.")
        if request.anonymous:
            raise problems.Conflict(
                "This survey is anonymous", "Only its customer has the link, which shows the answer."
            )
        note(request.invitation_id, respondent=request.respondent_id)
        _check_step(request, asked.step)
        url = self.composer.answer_link(request, step=asked.step)
        return schemas.LinkResponse(invitation_id=request.invitation_id, url=url, expires_at=request.expires_at)

    async def messages(
        self,
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> schemas.Mailbox:
        """List messages kept instead of sent, in order of arrival, after a cursor.

        Two messages stored at the same time may become visible in reverse order. A reader that must see every
        message asks again from a little before its last cursor and skips the ids it knows.
        """
        async with self.sessions.begin() as session:
            kept = await mailbox.after(session, after, limit=limit)
        return schemas.Mailbox(messages=[schemas.kept_message(message) for message in kept])


def _check_step(request: SurveyRequested, step: int) -> None:
    """Raise Unprocessable for a step that is not in the plan; 0 means a link outside a message."""
    if step and step not in (steps := [planned.step for planned in request.plan]):
        raise problems.Unprocessable("No such step", f"The plan has {', '.join(map(str, steps))}; 0 means no step.")
