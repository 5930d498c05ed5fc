"""The doors of providers whose word is proved by a secret we share."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from services.dispatcher.channels.feedback import postmark
from services.dispatcher.channels.sms import generic, smsc, twilio
from services.dispatcher.channels.sms.generic import Callbacks
from services.dispatcher.domain.receipts import ReceiptKind
from services.dispatcher.messages.texts import words_of
from services.dispatcher.webhooks.verifier import Incoming, ParsedCallback, check
from shared.web.problems import Forbidden

_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'


@dataclass(frozen=True, slots=True)
class TwilioVerifier:
    """`url` is this door as Twilio calls it: it signs the whole address, which a proxy in between may have changed."""

    url: str
    token: str

    async def hear(self, incoming: Incoming) -> ParsedCallback:
        url = f"{self.url}?{incoming.query}" if incoming.query else self.url
        expected = twilio.signature(self.token, url, incoming.fields) if self.token else ""
        check(incoming.headers.get("x-twilio-signature", ""), expected)
        if "MessageStatus" in incoming.form:
            (reference,) = parse_qs(incoming.query).get("ref", [""])[:1]
            return ParsedCallback(twilio.receipts(incoming.form, ref=reference))
        return self._written(incoming)

    def _written(self, incoming: Incoming) -> ParsedCallback:
        """Confirm a STOP that Twilio does not know: it answers its own words itself, and sets `OptOutType`."""
        receipt = twilio.reply_of_respondent(incoming.form)
        if receipt is None:
            return ParsedCallback(reply=_TWIML.format(""))
        said, text = "", incoming.form.get("Body", "")
        if receipt.kind is ReceiptKind.STOP and not text.isascii() and not incoming.form.get("OptOutType"):
            said = f"<Message>{escape(words_of('ru').stop_confirmed)}</Message>"
        return ParsedCallback([receipt], reply=_TWIML.format(said))


@dataclass(frozen=True, slots=True)
class SmscVerifier:
    secret: str

    async def hear(self, incoming: Incoming) -> ParsedCallback:
        if not smsc.is_genuine(incoming.form, self.secret):
            raise Forbidden("Not genuine", "The md5 does not fit EARSHOT_SMSC_SECRET.")
        return ParsedCallback(smsc.receipts(incoming.form))


@dataclass(frozen=True, slots=True)
class GenericVerifier:
    secret: str
    described: Callbacks

    async def hear(self, incoming: Incoming) -> ParsedCallback:
        given = incoming.headers.get(self.described.signature_header.lower(), "")
        if not generic.is_genuine(incoming.body, given, self.secret):
            raise Forbidden("Not genuine", "The signature does not fit EARSHOT_SMS_GATEWAY_SECRET.")
        return ParsedCallback(generic.receipts(incoming.body, self.described))


@dataclass(frozen=True, slots=True)
class PostmarkVerifier:
    credentials: str

    async def hear(self, incoming: Incoming) -> ParsedCallback:
        check(incoming.basic, self.credentials)
        return ParsedCallback(postmark.receipts(incoming.json))


@dataclass(frozen=True, slots=True)
class Bitrix24Verifier:
    """An outgoing webhook on ONTASKUPDATE: what it says is only a hint, the task is read again."""

    token: str

    async def hear(self, incoming: Incoming) -> ParsedCallback:
        form = incoming.form
        check(form.get("auth[application_token]", ""), self.token)
        number = form.get("data[FIELDS_AFTER][ID]", "")
        is_update = form.get("event", "").upper() == "ONTASKUPDATE" and number.isdecimal()
        return ParsedCallback(changed_tasks=[number] if is_update else ())
