"""The doors of providers whose word is proved by a secret we share."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from services.dispatcher.channels.feedback import postmark
from services.dispatcher.channels.sms import generic, smsc, twilio
from services.dispatcher.channels.sms.generic import Callbacks
from services.dispatcher.channels.words import words_of
from services.dispatcher.hooks.door import Incoming, Said, check
from services.dispatcher.receipts import ReceiptKind
from shared.problems import Forbidden

_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'


@dataclass(frozen=True, slots=True)
class TwilioDoor:
    """`url` is this door as Twilio calls it: it signs the whole address, which a proxy in between may have changed."""

    url: str
    token: str

    async def hear(self, incoming: Incoming) -> Said:
        url = f"{self.url}?{incoming.query}" if incoming.query else self.url
        expected = twilio.signature(self.token, url, incoming.fields) if self.token else ""
        check(incoming.headers.get("x-twilio-signature", ""), expected)
        if "MessageStatus" in incoming.form:
            (reference,) = parse_qs(incoming.query).get("ref", [""])[:1]
            return Said(twilio.receipts(incoming.form, ref=reference))
        return self._written(incoming)

    def _written(self, incoming: Incoming) -> Said:
        """Confirm a STOP that Twilio does not know: it answers its own words itself, and sets `OptOutType`."""
        receipt = twilio.reply_of_respondent(incoming.form)
        if receipt is None:
            return Said(reply=_TWIML.format(""))
        said, text = "", incoming.form.get("Body", "")
        if receipt.kind is ReceiptKind.STOP and not text.isascii() and not incoming.form.get("OptOutType"):
            said = f"<Message>{escape(words_of('ru').stop_confirmed)}</Message>"
        return Said([receipt], reply=_TWIML.format(said))


@dataclass(frozen=True, slots=True)
class SmscDoor:
    secret: str

    async def hear(self, incoming: Incoming) -> Said:
        if not smsc.is_genuine(incoming.form, self.secret):
            raise Forbidden("Not genuine", "The md5 does not fit EARSHOT_SMSC_SECRET.")
        return Said(smsc.receipts(incoming.form))


@dataclass(frozen=True, slots=True)
class GenericDoor:
    secret: str
    described: Callbacks

    async def hear(self, incoming: Incoming) -> Said:
        given = incoming.headers.get(self.described.signature_header.lower(), "")
        if not generic.is_genuine(incoming.body, given, self.secret):
            raise Forbidden("Not genuine", "The signature does not fit EARSHOT_SMS_GATEWAY_SECRET.")
        return Said(generic.receipts(incoming.body, self.described))


@dataclass(frozen=True, slots=True)
class PostmarkDoor:
    credentials: str

    async def hear(self, incoming: Incoming) -> Said:
        check(incoming.basic, self.credentials)
        return Said(postmark.receipts(incoming.json))


@dataclass(frozen=True, slots=True)
class Bitrix24Door:
    """An outgoing webhook on ONTASKUPDATE: what it says is only a hint, the task is read again."""

    token: str

    async def hear(self, incoming: Incoming) -> Said:
        form = incoming.form
        check(form.get("auth[application_token]", ""), self.token)
        number = form.get("data[FIELDS_AFTER][ID]", "")
        is_update = form.get("event", "").upper() == "ONTASKUPDATE" and number.isdecimal()
        return Said(changed_tasks=[number] if is_update else ())
