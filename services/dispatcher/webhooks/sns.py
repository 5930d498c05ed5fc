"""The verifier of SES: Amazon SNS signs with a certificate, and its subscription has to be confirmed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from datetime import UTC, datetime

import structlog

from services.dispatcher.channels.feedback import ses
from services.dispatcher.channels.feedback.ses import NotFromSns
from services.dispatcher.repository.receipts import KEPT
from services.dispatcher.webhooks.verifier import ParsedCallback, WebhookRequest
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent
from shared.web.problems import Forbidden, Unavailable

log = structlog.get_logger()

_WITHIN_S = 5.0
_CERTIFICATES = 8
_CERTIFICATE_BYTES = 20_000


class SnsVerifier:
    """Accepts notifications of `topics` only; certificates are fetched from SNS hosts only, and cached."""

    def __init__(self, http: HttpClient, *, topics: Collection[str]) -> None:
        self._http, self._topics = http, topics
        self._certificates: OrderedDict[str, bytes] = OrderedDict()

    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        message, now = request.json, datetime.now(UTC)
        try:
            if message.get("TopicArn") not in self._topics:
                raise NotFromSns("topic")  # noqa: TRY301 - one answer for everything that is not genuine
            url = ses.certificate_address(message)
            ses.verify(message, await self._certificate(url), at=now)
            if now - ses.sent_at(message) > KEPT:
                raise NotFromSns("too old")  # noqa: TRY301 - one answer for everything that is not genuine
        except NotFromSns as error:
            raise Forbidden("Not genuine", f"SNS: {error}.") from error
        if message.get("Type") == "SubscriptionConfirmation":
            await self._confirm(str(message.get("SubscribeURL")))
            return ParsedCallback()
        return ParsedCallback(ses.receipts(message) if message.get("Type") == "Notification" else ())

    async def _certificate(self, url: str) -> bytes:
        if url not in self._certificates:
            body = await self._fetch(url)
            if len(body) > _CERTIFICATE_BYTES:
                raise NotFromSns("certificate")
            self._certificates[url] = body
            if len(self._certificates) > _CERTIFICATES:
                self._certificates.popitem(last=False)
        return self._certificates[url]

    async def _confirm(self, url: str) -> None:
        if not ses.is_sns_address(url):
            raise Forbidden("Not genuine", "SNS: SubscribeURL.")
        await self._fetch(url)
        log.info("sns.subscribed")

    async def _fetch(self, url: str) -> bytes:
        try:
            reply = await self._http.send(Call("GET", url), within_s=_WITHIN_S)
        except (NotSent, MaybeSent) as error:
            raise Unavailable("Try again", "SNS cannot be reached.") from error
        if reply.status != 200:
            raise Unavailable("Try again", "SNS cannot be reached.")
        return reply.body
