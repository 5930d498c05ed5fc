"""Verifiers of providers that sign with a shared secret, or send a password."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from services.dispatcher.channels.feedback import postmark
from services.dispatcher.channels.sms import generic, smsc, twilio
from services.dispatcher.channels.sms.generic import CallbackDescription
from services.dispatcher.domain.receipts import ReceiptKind
from services.dispatcher.messages.texts import texts_of
from services.dispatcher.webhooks.verifier import ParsedCallback, WebhookRequest, check_secret
from shared.web.problems import Forbidden

_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'


@dataclass(frozen=True, slots=True)
class TwilioVerifier:
    """`url` is this webhook as Twilio calls it: Twilio signs the whole URL, and a proxy may have changed it."""

    url: str
    token: str

    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        url = f"{self.url}?{request.query}" if request.query else self.url
        expected = twilio.signature(self.token, url, request.fields) if self.token else ""
        check_secret(request.headers.get("x-twilio-signature", ""), expected)
        if "MessageStatus" in request.form:
            (reference,) = parse_qs(request.query).get("ref", [""])[:1]
            return ParsedCallback(twilio.receipts(request.form, ref=reference))
        return self._incoming_text(request)

    def _incoming_text(self, request: WebhookRequest) -> ParsedCallback:
        """Read a respondent's SMS; confirm a STOP unless Twilio has confirmed it, which sets `OptOutType`."""
        written = twilio.reply_of_respondent(request.form)
        if written is None:
            return ParsedCallback(reply=_TWIML.format(""))
        confirmation = ""
        if written.asks is ReceiptKind.STOP and not written.text.isascii() and not request.form.get("OptOutType"):
            confirmation = f"<Message>{escape(texts_of('ru').stop_confirmed)}</Message>"
        return ParsedCallback.of([written], reply=_TWIML.format(confirmation))


@dataclass(frozen=True, slots=True)
class SmscVerifier:
    secret: str

    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        if not smsc.is_genuine(request.form, self.secret):
            raise Forbidden("Not genuine", "The md5 does not match EARSHOT_SMSC_SECRET.")
        written = smsc.reply_of_respondent(request.form)
        return ParsedCallback.of([written] if written else smsc.receipts(request.form))


@dataclass(frozen=True, slots=True)
class GenericVerifier:
    secret: str
    callbacks: CallbackDescription

    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        given = request.headers.get(self.callbacks.signature_header.lower(), "")
        if not generic.is_genuine(request.body, given, self.secret):
            raise Forbidden("Not genuine", "The signature does not match EARSHOT_SMS_GATEWAY_SECRET.")
        return ParsedCallback.of(generic.receipts(request.body, self.callbacks))


@dataclass(frozen=True, slots=True)
class PostmarkVerifier:
    credentials: str

    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        check_secret(request.basic, self.credentials)
        return ParsedCallback(postmark.receipts(request.json))


@dataclass(frozen=True, slots=True)
class Bitrix24Verifier:
    """Verifies the outgoing webhook for ONTASKUPDATE; the task in it is read again over the API."""

    token: str

    async def verify(self, request: WebhookRequest) -> ParsedCallback:
        form = request.form
        check_secret(form.get("auth[application_token]", ""), self.token)
        number = form.get("data[FIELDS_AFTER][ID]", "")
        is_update = form.get("event", "").upper() == "ONTASKUPDATE" and number.isdecimal()
        return ParsedCallback(changed_tasks=[number] if is_update else ())
