"""The staff page of mails: previews a sample mail, and sends it as a test to an address."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.domain.sms_prices import SmsPrice
from services.dispatcher.domain.steps import OutgoingMessage
from services.dispatcher.messages import mime
from services.dispatcher.messages.composer import Composer
from services.dispatcher.messages.samples import SampleMail
from services.dispatcher.pages.rendering import mail_response, page
from services.dispatcher.pages.test_mails import TESTS, SendingDisabled, send_test
from shared.database import staff
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web import problems
from shared.web.audit.acts import note
from shared.web.audit.last_acts import LastAct, newest_acts
from shared.web.staff.menu import StaffPages


class TestMail(SampleMail):
    """`sure` is of whoever has read what will be sent, and to whom."""

    sure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPages:
    """`may_send` says whether the settings let a mail go to an address.

    `sms_prices` are those of a segment, by country.
    """

    sessions: Sessions
    composer: Composer
    accounts: Sequence[ChannelAccount]
    may_send: Callable[[str], bool]
    staff_pages: StaffPages
    sms_prices: Mapping[str, SmsPrice]

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/mail", include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.preview, methods=["GET"])
        router.add_api_route("/html", self.html, methods=["GET"])
        router.add_api_route("", self.send_test, methods=["POST"])
        return router

    async def preview(self, sample: Annotated[SampleMail, Query()]) -> str:
        return await self._page(sample, self._compose(sample))

    async def html(self, sample: Annotated[SampleMail, Query()]) -> Response:
        return mail_response(self._compose(sample).body)

    async def send_test(self, sample: Annotated[TestMail, Form()]) -> str:
        """Ask, and when it was confirmed send the mail to the address in the form, if the settings allow it."""
        mail = self._compose(sample)
        if not sample.sure:
            note(sent=False)
            return await self._page(sample, mail, asks=True)
        try:
            result = ", ".join(map(str, await send_test(mail, self.accounts, self.may_send)))
        except SendingDisabled as error:
            note(sent=False)
            result = str(error)
        return await self._page(sample, mail, result=result)

    def _compose(self, sample: SampleMail) -> OutgoingMessage:
        try:
            return sample.compose(self.composer)
        except mime.BadAddress:
            raise problems.Unprocessable(mark("This is not a valid mail address")) from None
        except ValidationError:
            reason = mark("Change the brand, the locale or the template.")
            raise problems.Unprocessable(mark("No mail can have these values"), reason) from None

    async def latest(self) -> Sequence[LastAct]:
        """Return the tests that were sent last."""
        async with self.sessions() as session:
            return await newest_acts(session, TESTS, names=staff.names)

    async def _page(self, sample: SampleMail, mail: OutgoingMessage, *, result: str = "", asks: bool = False) -> str:
        query = urlencode(sample.model_dump(mode="json", exclude={"address", "sure"}))
        headers = mime.read_headers(mail.body)
        shown = {"sample": sample, "headers": headers, "query": query, "latest": await self.latest()}
        return page("preview.html", pages=self.staff_pages, result=result, asks=asks, **shown)
