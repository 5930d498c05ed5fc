"""The messages of a program as it sends them: previews in every language, and the whole chain as a test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Query
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, Response

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.domain.sms_prices import SmsPrice
from services.dispatcher.domain.steps import Disposition, OutgoingMessage
from services.dispatcher.messages import mime
from services.dispatcher.pages.mails import MailPages
from services.dispatcher.pages.rendering import mail_response, page
from services.dispatcher.pages.test_mails import AccountReply
from services.dispatcher.repository import mailbox
from services.dispatcher.repository.programs import states
from services.dispatcher.repository.programs.states import StoredProgram
from shared.clock import Clock
from shared.contract.events import Contact, SurveyRequested
from shared.contract.samples import NoSample, sample_of_program
from shared.contract.sms import sms_segments, stray_letters
from shared.contract.step_words import waits_in_words
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web import problems
from shared.web.audit.acts import note
from shared.web.links import SAMPLE_KEY

_WITHIN_S = 10.0
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SEPARATORS = str.maketrans("", "", " -().")
_MESSAGES = (ChannelKind.EMAIL, ChannelKind.SMS)
_Id = Annotated[str, PathParameter(max_length=200)]
_Locale = Annotated[str, Query(max_length=40)]
_Address = Annotated[str, Form(max_length=300)]


class ShownMessage(NamedTuple):
    """A step's message; `subject` is of a mail, the others are of an SMS.

    `stray` are the letters that make its segments shorter, `prices` what it costs, by country.
    """

    step: int
    channel: ChannelKind
    subject: str
    text: str
    sender: str
    segments: int
    stray: str
    prices: Mapping[str, SmsPrice]

    @classmethod
    def of(cls, message: OutgoingMessage, prices: Mapping[str, SmsPrice]) -> ShownMessage:
        text = message.body.decode() if message.channel is ChannelKind.SMS else ""
        segments = sms_segments(text)
        cost = {country: price.of(segments) for country, price in prices.items()}
        return cls(
            message.step, message.channel, message.subject, text, message.sender, segments, stray_letters(text), cost
        )


class TestResult(NamedTuple):
    """What became of a test message: the result of an account, or the id under which it is kept."""

    step: int
    what: str
    kept: str = ""


class TestForm(NamedTuple):
    """What was written into the form, and what is wrong with it, to be translated."""

    address: str = ""
    phone: str = ""
    wrong_address: str = ""
    wrong_phone: str = ""

    @classmethod
    def checked(cls, address: str, phone: str) -> TestForm:
        wrong_address = wrong_phone = ""
        try:
            if address:
                mime.checked_address(address)
        except mime.BadAddress:
            wrong_address = mark("This is not a valid mail address")
        if phone and not _PHONE.fullmatch(phone.translate(_SEPARATORS)):
            wrong_phone = mark("This is not a telephone number with its country code, such as +7…")
        return cls(address, phone, wrong_address, wrong_phone)

    @property
    def is_wrong(self) -> bool:
        return bool(self.wrong_address or self.wrong_phone)

    @property
    def contact(self) -> Contact:
        """The addresses, if nothing is wrong."""
        return Contact(email=self.address or None, phone=self.phone.translate(_SEPARATORS) or None)


@dataclass(frozen=True, slots=True)
class ProgramMessagePages:
    """Makes and sends messages as the page of mails does."""

    sessions: Sessions
    clock: Clock
    mails: MailPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/mail/programs", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("/{program_id}", self.show, methods=["GET"])
        router.add_api_route("/{program_id}", self.send, methods=["POST"])
        router.add_api_route("/{program_id}/html", self.mail, methods=["GET"])
        return router

    async def show(self, program_id: _Id, locale: _Locale = "") -> str:
        """Show every message of a program in one of its languages, at first the default one."""
        program = await self._find(program_id)
        return await self._page(program, locale or str(program.document.get("default_locale", "")))

    async def mail(self, program_id: _Id, locale: _Locale, step: int) -> Response:
        """Show the HTML of a mail; its links open nothing in the frame."""
        request = self._request(await self._find(program_id), locale)
        if all(each.step != step or each.channel is not ChannelKind.EMAIL for each in request.plan):
            raise problems.NotFound(mark("No such mail"))
        message = self.mails.composer.compose(request, step=step, channel=ChannelKind.EMAIL)
        return mail_response(message.body)

    async def send(
        self,
        program_id: _Id,
        locale: _Locale,
        address: _Address = "",
        phone: _Address = "",
        sure: Annotated[bool, Form()] = False,  # noqa: FBT002 - of the form
    ) -> Response:
        """Ask, and when it was confirmed send every message of the plan at once, marked as a test.

        Those that the settings do not let go are kept.

        A wrong address is said beside its field, and nothing is sent.
        """
        program = await self._find(program_id)
        form = TestForm.checked(address.strip(), phone.strip())
        if form.is_wrong:
            return HTMLResponse(await self._page(program, locale, form=form), problems.Unprocessable.status)
        request = self._request(program, locale, contact=form.contact)
        wanted = {ChannelKind.EMAIL: form.address, ChannelKind.SMS: form.phone}
        messages = self._messages(request, [channel for channel, given in wanted.items() if given])
        note(program_id, sent=sure and bool(messages))
        if messages and not sure:
            return HTMLResponse(await self._page(program, locale, form=form, asked=messages))
        results = [await self._send(each) for each in messages]
        return HTMLResponse(await self._page(program, locale, form=form, results=results))

    async def _send(self, message: OutgoingMessage) -> TestResult:
        account = self._account(message)
        if account is None:
            async with self.sessions.begin() as session:
                kept = await mailbox.keep_test(session, message, at=self.clock.now())
            return TestResult(message.step, mark("kept here"), str(kept))
        return TestResult(message.step, str(AccountReply(account.name, await _send_over(account, message))))

    def _account(self, message: OutgoingMessage) -> ChannelAccount | None:
        """Return the account over which a message leaves; None for one that is kept."""
        found = next((each for each in self.mails.accounts if each.channel is message.channel), None)
        return found if self.mails.may_send(message.recipient) else None

    def _messages(self, request: SurveyRequested, channels: Sequence[ChannelKind]) -> list[OutgoingMessage]:
        wanted = [step for step in request.plan if step.channel in channels]
        return [self.mails.composer.compose(request, step=step.step, channel=step.channel) for step in wanted]

    async def _find(self, program_id: str) -> StoredProgram:
        async with self.sessions() as session:
            found = await states.find(session, program_id)
        if found is None:
            raise problems.NotFound(
                mark("No such program"), mark("It may have been applied just now: try again shortly.")
            )
        return found

    def _request(self, program: StoredProgram, locale: str, *, contact: Contact | None = None) -> SurveyRequested:
        try:
            return sample_of_program(
                program.document, locale=locale, link_key=SAMPLE_KEY, when=self.clock.now(), contact=contact
            )
        except NoSample:
            raise problems.NotFound(mark("This program has no such language")) from None

    async def _page(
        self,
        program: StoredProgram,
        locale: str,
        *,
        form: TestForm = TestForm(),  # noqa: B008 - it never changes
        results: Sequence[TestResult] | None = None,
        asked: Sequence[OutgoingMessage] = (),
    ) -> str:
        request = self._request(program, locale)
        mails = [step.step for step in request.plan if step.channel is ChannelKind.EMAIL]
        return page(
            "program_messages.html",
            pages=self.mails.staff_pages,
            program=program,
            locale=locale,
            plan=request.plan,
            waits=_waits(program.document),
            reminders=[step for step in mails if step != request.plan[0].step],
            form=form,
            shares_address=self.mails.staff_pages.shares_address_with(Service.SCORING),
            messages={
                each.step: ShownMessage.of(each, self.mails.sms_prices) for each in self._messages(request, _MESSAGES)
            },
            may_send=self.mails.staff_pages.may_write("/mail"),
            results=results,
            asked=[(each, self._account(each) is None) for each in asked],
            latest=await self.mails.latest(),
        )


def _waits(document: Mapping[str, Any]) -> list[str]:
    """Say in words when each step of the plan follows."""
    steps = ((ChannelKind(step["channel"]), _duration(step["after"])) for step in document["plan"])
    return list(waits_in_words(steps, start=document["delay_from"], delay=_duration(document["delay"])))


def _duration(span: str) -> timedelta:
    """Read a duration as program documents are published: a number and its unit."""
    return timedelta(seconds=int(span[:-1]) * _UNITS_S[span[-1]])


async def _send_over(account: ChannelAccount, message: OutgoingMessage) -> Disposition:
    """Send a message that nothing counts; a mail over a connection of its own."""
    if isinstance(account, SmtpAccount):
        return await account.send_apart(message, within_s=_WITHIN_S)
    return (await account.send_all([message], within_s=_WITHIN_S))[0]
