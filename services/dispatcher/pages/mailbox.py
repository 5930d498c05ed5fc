"""What staff see of dispatcher: the mailbox, stories, and mails before they are sent."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher import history
from services.dispatcher.channels import ChannelAccount
from services.dispatcher.domain.steps import Outgoing
from services.dispatcher.messages import mime
from services.dispatcher.messages.composer import Composer
from services.dispatcher.pages.rendering import page
from services.dispatcher.pages.test_mails import KeptHere, Look, send_test
from services.dispatcher.repository import mailbox
from services.dispatcher.repository.mailbox import Kept
from services.dispatcher.schemas import Outcome
from shared.clock import Clock
from shared.config import StaffPages
from shared.contract.vocabulary import ChannelKind
from shared.database.db import Sessions
from shared.web import problems
from shared.web.app import committing

_SHOWN = 100
_MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


def mailbox_router(sessions: Sessions, clock: Clock, staff_pages: StaffPages) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    transaction = Annotated[AsyncSession, Depends(committing(sessions), scope="function")]

    @routes.get("/")
    async def home() -> Response:
        return RedirectResponse("/mailbox")

    @routes.get("/mailbox")
    async def message_list(session: transaction) -> str:
        return page(
            "mailbox.html", pages=staff_pages, messages=await mailbox.newest(session, limit=_SHOWN), now=clock.now()
        )

    @routes.get("/mailbox/{message_id}")
    async def message(message_id: UUID, session: transaction) -> str:
        kept = await _kept(session, message_id)
        if kept.channel is ChannelKind.EMAIL:
            return page("message.html", pages=staff_pages, message=kept, headers=mime.read_headers(kept.body), words=[])
        return page("message.html", pages=staff_pages, message=kept, headers={}, words=kept.body.decode().split(" "))

    @routes.get("/mailbox/{message_id}/html")
    async def mail(message_id: UUID, session: transaction) -> Response:
        """Show the mail as its reader would; links open beside this page."""
        kept = await _kept(session, message_id)
        if kept.channel is not ChannelKind.EMAIL:
            raise problems.NotFound("No such mail")
        _, html = mime.read_alternative(kept.body)
        shown = html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(shown, headers={"content-security-policy": _MAIL_CSP})

    return routes


def story_router(sessions: Sessions, staff_pages: StaffPages) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    transaction = Annotated[AsyncSession, Depends(committing(sessions), scope="function")]

    @routes.get("/invitations")
    async def newest(
        session: transaction,
        customer: Annotated[str, Query(max_length=200)] = "",
        outcome: Outcome | Literal[""] = "",
    ) -> str:
        """Show the newest invitations, of a customer or of all."""
        wanted = customer.strip()
        found = await history.newest(session, customer=wanted, outcome=outcome or None)
        return page(
            "invitations.html",
            pages=staff_pages,
            customer=wanted,
            outcome=outcome,
            outcomes=OUTCOMES,
            invitations=found.invitations,
        )

    @routes.get("/invitations/{invitation_id}")
    async def story(invitation_id: UUID, session: transaction) -> str:
        """Tell an invitation's story, in the respondent's time."""
        return page(
            "invitation.html", pages=staff_pages, story=await history.tell(session, invitation_id), why=explained
        )

    return routes


def mail_router(
    composer: Composer,
    accounts: Sequence[ChannelAccount],
    *,
    lets_out: Callable[[str], bool],
    link_key: str,
    staff_pages: StaffPages,
) -> APIRouter:
    """Mails as their readers will see them, and a test to an address somebody types."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    looked_at = Annotated[Look, Query()]

    @routes.get("/mail")
    async def preview(look: looked_at) -> str:
        return _preview(look, look.compose(composer, link_key), staff_pages)

    @routes.get("/mail/html")
    async def html(look: looked_at) -> Response:
        _, shown = mime.read_alternative(look.compose(composer, link_key).body)
        return HTMLResponse(shown, headers={"content-security-policy": _MAIL_CSP})

    @routes.post("/mail")
    async def test(look: Annotated[Look, Form()]) -> str:
        """Send one to the address that was typed, if the settings let it out."""
        try:
            mail = look.compose(composer, link_key)
        except mime.BadAddress:
            raise problems.Unprocessable("This is no address a mail could be sent to") from None
        try:
            told = ", ".join(map(str, await send_test(mail, accounts, lets_out)))
        except KeptHere as kept:
            told = str(kept)
        return _preview(look, mail, staff_pages, told=told)

    return routes


def _preview(look: Look, mail: Outgoing, staff_pages: StaffPages, *, told: str = "") -> str:
    query = urlencode(look.model_dump(mode="json", exclude={"address"}))
    return page(
        "preview.html", pages=staff_pages, look=look, headers=mime.read_headers(mail.body), query=query, told=told
    )


def explained(reason: str) -> str:
    """Say in words why a step or an attempt is what it is; a provider's own code stays beside them."""
    kind, _, code = reason.partition(" ")
    words = REASONS.get(kind, kind.replace("_", " "))
    return f"{words} ({code})" if code else words


OUTCOMES = {
    "open": "open",
    "answered": "answered",
    "declined": "declined",
    "exhausted": "silent: every step done, no answer",
    "expired": "silent: time ran out",
    "undeliverable": "no step could reach anybody",
    "withdrawn": "withdrawn",
}
REASONS = {
    "no_address": "no address for this channel",
    "no_consent": "no consent for this channel",
    "suppressed": "must not be contacted over this channel",
    "no_account": "nothing is set up that could send it",
    "contact_hours": "waits for the respondent's contact hours",
    "contact_cap": "waits because the customer was contacted often enough",
    "daily_ceiling": "waits because the day's limit is reached",
    "country_ceiling": "waits because the day's limit of its country is reached",
    "domain_rate": "waits because this mail domain is served slowly",
    "provider_away": "the provider was away for too long",
    "sender_lost": "the sender stopped while it was on its way: it may have arrived",
    "no_reply": "the provider never replied: it may have arrived",
    "bad_address": "not an address",
    "too_long": "too long for a text message",
    "no_route": "no gateway serves this country",
    "unreachable": "the gateway could not be reached",
    "never_seen": "the provider was asked and has never seen it",
    "hard_bounce": "no such address",
    "soft_bounce": "the mailbox was full, or the phone off",
    "blocked": "the provider takes nothing for this address",
    "undelivered": "not delivered, which says nothing about the address",
    "complaint": "reported as spam",
    "not_read": "the stored request cannot be read",
    "closed": "the invitation ended meanwhile",
    "smtp_timeout": "the mail server is away: no reply in time",
    "smtp_disconnected": "the mail server is away: no connection",
}


async def _kept(session: AsyncSession, message_id: UUID) -> Kept:
    kept = await mailbox.one(session, message_id)
    if kept is None:
        raise problems.NotFound("No such message")
    return kept
