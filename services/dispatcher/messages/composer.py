"""Renders the mail or the SMS of a step from its survey request."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from functools import cached_property, lru_cache
from typing import NamedTuple

from services.dispatcher.domain.chain import address_of
from services.dispatcher.domain.receipts import Reference
from services.dispatcher.domain.steps import OutgoingMessage
from services.dispatcher.domain.unsubscribe_mails import unsubscribe_mailto
from services.dispatcher.messages import mime
from services.dispatcher.messages.mail_body import MailBody, MailVariant, mail_body
from services.dispatcher.messages.sms_text import fit_sms
from services.dispatcher.messages.styles import Style, chosen, placeholders
from services.dispatcher.messages.texts import TEST_MARKS, MailTexts, language_of, texts_for, worded
from shared.contract.events import SurveyRequested
from shared.contract.labels import filled
from shared.contract.sms import is_number, with_stop
from shared.contract.vocabulary import ChannelKind
from shared.locales import day_in, language_tag
from shared.web import links
from shared.web.links import Purpose
from shared.zones import time_zone


class _Look(NamedTuple):
    """What mails with the same template share."""

    brand: str
    color: str
    privacy_url: str | None
    locale: str
    question: str
    template: str
    is_first: bool
    labels: tuple[tuple[str, str], ...]


class _Template(NamedTuple):
    """The parts of a mail that are not about its respondent; `names` are the values of `_VALUES` that it needs."""

    headers: Mapping[str, str]
    subject: str
    body: MailBody
    names: Collection[str]


@dataclass(frozen=True)
class Composer:
    """`link_keys` has the secrets of links by key id; the URLs are the beginnings of the links in messages.

    `stop_url` is that of the links in text messages by which respondents unsubscribe.
    """

    link_keys: Mapping[str, str]
    public_url: str
    short_url: str
    unsubscribe_url: str
    mail_from: str
    styles: Sequence[Style] = ()
    reads_mail: bool = False  # whether a mail to the sender's address arrives: a mailbox is configured
    reply_to: str = ""
    stop_url: str = ""  # empty: unsubscribe_url
    reads_sms: bool = False  # whether what respondents write back arrives
    sms_from_number: bool = False  # whether the gateways' accounts send from a number, where a program names no sender

    def compose(self, request: SurveyRequested, *, step: int, channel: ChannelKind) -> OutgoingMessage:
        """Render one step; raises BadAddress or UnknownLinkKey."""
        address = address_of(channel, request.contact) or ""
        if channel is ChannelKind.SMS:
            return self._text_message(request, step, address)
        return self._mail(request, step, mime.checked_address(address))

    def answer_link(self, request: SurveyRequested, *, step: int) -> str:
        """Return the URL of the answer page; `step` is that of the message with the link, 0 for no message."""
        return self._answer_url(self.public_url, request, step)

    def _text_message(self, request: SurveyRequested, step: int, phone: str) -> OutgoingMessage:
        brand, template = request.brand, _template_name(request, step)
        texts = worded(
            chosen(self.styles, brand=brand.name, locale=request.locale, template=template).texts, request.labels
        )
        sender, day = brand.sms_sender_in(request.locale) or "", _day_of(request)
        values = {name: _VALUES[name](request, day) for name in _VALUES.keys() & placeholders(texts.sms_text)}
        values |= {"link": self._answer_url(self.short_url, request, step), "stop": self._stop(request, texts, sender)}
        text = fit_sms(_mark(request) + with_stop(texts.sms_text), values)
        return OutgoingMessage(request.invitation_id, step, ChannelKind.SMS, phone, "", text.encode(), sender)

    def _stop(self, request: SurveyRequested, texts: MailTexts, sender: str) -> str:
        """Say how to get no more text messages: by a reply where it arrives, else by a link."""
        if self.reads_sms and (is_number(sender) if sender else self.sms_from_number):
            return texts.sms_reply
        link = f"{self.stop_url or self.unsubscribe_url}/u/{self._token(request, Purpose.UNSUBSCRIBE)}"
        return filled(texts.sms_stop, {"link": link})

    def _mail(self, request: SurveyRequested, step: int, address: str) -> OutgoingMessage:
        template = self._template_of(request, step)
        day = _day_of(request)
        values = {name: _VALUES[name](request, day) for name in template.names}
        subject = f"{_mark(request)}{filled(template.subject, values)}"
        unsubscribe = f"{self.unsubscribe_url}/u/{self._token(request, Purpose.UNSUBSCRIBE)}"
        reference = f"{request.invitation_id}.{step}"
        headers = {
            **template.headers,
            "To": address,
            "Subject": mime.text_header(subject),
            "Date": _date_header(int(time.time())),
            "Message-ID": f"<{reference}@{self._domain}>",
            "List-Unsubscribe": f"<{unsubscribe}>{self._mailto(request, step)}",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
            "X-PM-Metadata-attempt": reference,  # comes back in Postmark's webhooks
        }
        values |= {"subject": subject, "unsubscribe": unsubscribe, "answer": self.answer_link(request, step=step)}
        body = template.body.fill(mime.head(headers), values)
        return OutgoingMessage(request.invitation_id, step, ChannelKind.EMAIL, address, subject, body, dotted=False)

    def _template_of(self, request: SurveyRequested, step: int) -> _Template:
        brand = request.brand
        return self._template(
            _Look(
                brand=brand.name,
                color=brand.color,
                privacy_url=brand.privacy_url,
                locale=request.locale,
                question=request.question,
                template=_template_name(request, step),
                is_first=_is_first(request, step),
                labels=tuple(request.labels.items()),
            )
        )

    @cached_property
    def _template(self) -> Callable[[_Look], _Template]:
        return lru_cache(maxsize=512)(self._new_template)

    def _new_template(self, look: _Look) -> _Template:
        style = chosen(self.styles, brand=look.brand, locale=look.locale, template=look.template)
        texts, sender = worded(style.texts, dict(look.labels)), style.sender
        reply_to = style.reply_to or self.reply_to
        body = mail_body(
            MailVariant(
                language=language_tag(look.locale),
                texts=texts,
                brand=look.brand,
                color=look.color,
                privacy=_web_address(look.privacy_url),
                question=look.question,
                logo=style.logo,
            )
        )
        subject = texts.subject if look.is_first else texts.reminder
        return _Template(
            headers={
                "From": _from(sender) if sender else mime.mailbox(look.brand, self._sender),
                **({"Reply-To": envelope_sender(reply_to)} if reply_to else {}),
            },
            subject=subject,
            body=body,
            names=_VALUES.keys() & (body.names | placeholders(subject)),
        )

    def _answer_url(self, base: str, request: SurveyRequested, step: int) -> str:
        return links.answer_url_of(base, self._token(request, Purpose.ANSWER), step=step)

    def _mailto(self, request: SurveyRequested, step: int) -> str:
        reference = Reference(request.invitation_id, step)
        return f",\r\n <{unsubscribe_mailto(self._sender, reference)}>" if self.reads_mail else ""

    def _token(self, request: SurveyRequested, purpose: Purpose) -> str:
        if request.link_key == links.SAMPLE_KEY:
            return links.sample_token(request.locale)
        return links.token(self.link_keys, request.link_key, purpose, request.invitation_id)

    @cached_property
    def _sender(self) -> str:
        return envelope_sender(self.mail_from)

    @cached_property
    def _domain(self) -> str:
        return self._sender.rpartition("@")[2]


def _mark(request: SurveyRequested) -> str:
    return f"{TEST_MARKS[language_of(request.locale)]} " if request.test else ""


@lru_cache(maxsize=1)
def _date_header(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def envelope_sender(mail_from: str) -> str:
    """Return the address of `Name <address>`; raises BadAddress."""
    return mime.checked_address(mail_from.rpartition("<")[2].rstrip("> "))


def _from(sender: str) -> str:
    return mime.mailbox(sender.partition("<")[0].strip(), envelope_sender(sender))


def _topic(request: SurveyRequested, day: date) -> str:
    name = "service_topic" if _is_service(request) else "order_topic"
    text: str = getattr(texts_for(request), name)
    return text.format(date=_date(request, day, within=name))


def _template_name(request: SurveyRequested, step: int) -> str:
    return next((planned.template for planned in request.plan if planned.step == step), "default")


def _is_first(request: SurveyRequested, step: int) -> bool:
    return step == min(planned.step for planned in request.plan)


def about(request: SurveyRequested) -> str:
    """Name what the question is about: "Your order 48213 of 18 November, Tverskaya"."""
    return _about(request, _day_of(request))


def _about(request: SurveyRequested, day: date) -> str:
    number, name = request.event.known_as, "service" if _is_service(request) else "order"
    name = name if number else "order_without_number"
    form: str = getattr(texts_for(request), name)
    text = form.format(number=number, date=_date(request, day, within=name))
    store = request.segments.get("store")
    return f"{text}, {store}" if store else text


def _is_service(request: SurveyRequested) -> bool:
    return request.event.type.startswith("crm.service.")


def _day_of(request: SurveyRequested) -> date:
    return request.event.time.astimezone(time_zone(request.time_zone)).date()


def _date(request: SurveyRequested, day: date, *, within: str) -> str:
    """Write a day in the language of the text it is in: the program's own, if it words that text, else ours."""
    language = language_of(request.locale)
    own = request.labels and f"mail.{within}" in request.labels
    return day_in(language_tag(request.locale) if own else language, day, otherwise=language)


def _web_address(url: str | None) -> str | None:
    return url if url and url.startswith(("https://", "http://")) else None


_VALUES: Mapping[str, Callable[[SurveyRequested, date], str]] = {  # of the placeholders in `PLACEHOLDERS`
    "brand": lambda request, _day: request.brand.name,
    "question": lambda request, _day: request.question,
    "about": _about,
    "date": lambda request, day: _date(request, day, within="subject"),
    "number": lambda request, _day: request.event.known_as or "",
    "store": lambda request, _day: request.segments.get("store", ""),
    "topic": _topic,
}
