"""The staff pages of invitations: the newest ones, and the history of each."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.dispatcher import history
from services.dispatcher.pages.rendering import page
from services.dispatcher.repository import counts
from services.dispatcher.repository.programs import states
from services.dispatcher.schemas import OutcomeFilter
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.event_words import event_in_words
from shared.database.session import Sessions
from shared.languages.current import lookup
from shared.languages.marking import mark
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import staff_scope

OUTCOMES = {
    "open": mark("open"),
    "answered": mark("answered"),
    "declined": mark("the customer does not want to be asked"),
    "exhausted": mark("no answer: every step is done"),
    "expired": mark("no answer before the expiry"),
    "undeliverable": mark("no step could reach the customer"),
    "withdrawn": mark("taken back: cancelled, reopened, erased, or withdrawn with its program"),
}
_REASONS = {
    "no_address": mark("no address for this channel"),
    "no_consent": mark("no consent for this channel"),
    "suppressed": mark("must not be contacted over this channel"),
    "no_account": mark("no account is set up for this channel"),
    "contact_hours": mark("waits for the respondent's contact hours"),
    "contact_cap": mark("waits because a contact cap is reached"),
    "daily_ceiling": mark("waits because the daily limit is reached"),
    "country_ceiling": mark("waits because the daily limit of the country is reached"),
    "domain_rate": mark("waits because of the rate limit of this mail domain"),
    "domain_refuses": mark("waits because this mail domain refuses our mails"),
    "account_refused": mark("waits because the provider refuses our account"),
    "provider_away": mark("the provider was unavailable for too long"),
    "sender_lost": mark("the sending process stopped before the reply: the message may have arrived"),
    "no_reply": mark("the provider did not reply: the message may have arrived"),
    "bad_address": mark("not an address"),
    "too_long": mark("too long for a text message"),
    "no_route": mark("no gateway serves this country"),
    "unreachable": mark("the gateway could not be reached"),
    "never_seen": mark("the provider does not know the message"),
    "hard_bounce": mark("no such address"),
    "soft_bounce": mark("the mailbox was full, or the phone off"),
    "blocked": mark("the provider blocks this address"),
    "undelivered": mark("not delivered, for a reason other than the address"),
    "complaint": mark("reported as spam"),
    "not_read": mark("the stored request cannot be read"),
    "closed": mark("the invitation ended meanwhile"),
    "withdrawn": mark("the survey was withdrawn"),
    "program_stopped": mark("waits because the program is stopped"),
    "smtp_timeout": mark("the mail server did not reply in time"),
    "smtp_disconnected": mark("no connection to the mail server"),
}
STATES = {  # of invitations, steps and attempts
    "open": mark("open"),
    "answered": mark("answered"),
    "declined": mark("declined"),
    "exhausted": mark("exhausted"),
    "expired": mark("expired"),
    "undeliverable": mark("undeliverable"),
    "withdrawn": mark("withdrawn"),
    "waiting": mark("waiting"),
    "planned": mark("planned"),
    "leased": mark("leased"),
    "in_flight": mark("in flight"),
    "sent": mark("sent"),
    "delivered": mark("delivered"),
    "refused": mark("refused"),
    "failed": mark("failed"),
    "unknown": mark("unknown"),
    "skipped": mark("skipped"),
    "bounced": mark("bounced"),
    "complained": mark("complained"),
}


@dataclass(frozen=True, slots=True)
class InvitationPages:
    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages
    address_keys: AddressKeys

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/invitations", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.newest, methods=["GET"])
        router.add_api_route("/{invitation_id}", self.invitation, methods=["GET"])
        return router

    async def newest(
        self, customer: Annotated[str, Query(max_length=200)] = "", outcome: OutcomeFilter | Literal[""] = ""
    ) -> str:
        customer = customer.strip()
        async with self.sessions.begin() as session:
            found = await history.newest(
                session, self.address_keys, customer=customer, outcome=outcome or None, scope=staff_scope.get()
            )
            refused = await counts.refused_accounts(session, self.clock.now())
            names = await states.titles(session)
        return self._page(
            "invitations.html", customer=customer, outcome=outcome, found=found, refused=refused, names=names
        )

    async def invitation(self, invitation_id: UUID) -> str:
        """Show an invitation's history, with the time where the respondent is if that is another."""
        async with self.sessions.begin() as session:
            shown = await history.of_invitation(session, invitation_id, scope=staff_scope.get())
        return self._page("invitation.html", history=shown, explain=explained, in_words=event_in_words)

    def _page(self, template: str, **values: object) -> str:
        return page(template, pages=self.staff_pages, outcomes=OUTCOMES, states=STATES, **values)


def explained(reason: str) -> str:
    """Describe the reason of a step or an attempt; a provider's own code follows in brackets."""
    kind, _, code = reason.partition(" ")
    known = _REASONS.get(kind) or OUTCOMES.get(kind)
    text = lookup(known) if known else kind.replace("_", " ")
    return f"{text} ({code})" if code else text
