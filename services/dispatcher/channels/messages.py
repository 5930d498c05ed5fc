"""What a respondent gets: the mail and the text message of a step, rendered from its frozen request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path

import jinja2
from babel.dates import format_date

from services.dispatcher.channels import mime
from services.dispatcher.channels.words import language_of, words_of
from services.dispatcher.domain import Outgoing, address_of, fit_sms, time_zone
from shared import links
from shared.events import SurveyRequested
from shared.links import Purpose
from shared.vocabulary import ChannelKind

_TEMPLATES = Path(__file__).parent.parent / "templates"
_SCORES = range(11)


@dataclass(frozen=True)
class Composer:
    """Renders messages. `link_keys` are secrets by id; the URLs are ours as respondents see them."""

    link_keys: Mapping[str, str]
    public_url: str
    short_url: str
    unsubscribe_url: str
    mail_from: str

    def compose(self, request: SurveyRequested, *, step: int, channel: ChannelKind) -> Outgoing:
        """Render one step; raises BadAddress or UnknownLinkKey."""
        address = address_of(channel, request.contact) or ""
        if channel is ChannelKind.SMS:
            return self._text_message(request, step, address)
        return self._mail(request, step, mime.checked_address(address))

    def _text_message(self, request: SurveyRequested, step: int, phone: str) -> Outgoing:
        link = f"{self.short_url}/s/{self._token(request, Purpose.ANSWER)}.{step}"
        text = fit_sms(f"{request.brand.name}: {request.question}", link)
        return Outgoing(request.invitation_id, step, ChannelKind.SMS, phone, "", text.encode())

    def _mail(self, request: SurveyRequested, step: int, address: str) -> Outgoing:
        subject = _subject(request, step)
        unsubscribe = f"{self.unsubscribe_url}/u/{self._token(request, Purpose.UNSUBSCRIBE)}"
        answer = f"{self.public_url}/s/{self._token(request, Purpose.ANSWER)}.{step}"
        words = words_of(request.locale)
        fields = {
            "language": language_of(request.locale),
            "words": words,
            "subject": subject,
            "brand": request.brand.name,
            "brand_color": request.brand.color,
            "about": about(request),
            "question": request.question,
            "links": [f"{answer}?score={score}" for score in _SCORES],
            "because": words.because.format(brand=request.brand.name),
            "unsubscribe": unsubscribe,
            "privacy": _web_address(request.brand.privacy_url),
        }
        headers = {
            "From": mime.mailbox(request.brand.name, self._sender),
            "To": address,
            "Subject": mime.text_header(subject),
            "Date": format_datetime(datetime.now(UTC)),
            "Message-ID": f"<{request.invitation_id}.{step}@{self._sender.rpartition('@')[2]}>",
            "List-Unsubscribe": f"<{unsubscribe}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
            "X-PM-Metadata-attempt": f"{request.invitation_id}.{step}",  # comes back in Postmark's webhooks
        }
        body = mime.alternative(headers, text=_plain.render(fields), html=_html.render(fields))
        return Outgoing(request.invitation_id, step, ChannelKind.EMAIL, address, subject, body)

    def _token(self, request: SurveyRequested, purpose: Purpose) -> str:
        return links.token(self.link_keys, request.link_key, purpose, request.invitation_id)

    @cached_property
    def _sender(self) -> str:
        return envelope_sender(self.mail_from)


def envelope_sender(mail_from: str) -> str:
    """The bare address of `Name <address>`; raises BadAddress."""
    return mime.checked_address(mail_from.rpartition("<")[2].rstrip("> "))


def _subject(request: SurveyRequested, step: int) -> str:
    words = words_of(request.locale)
    topic = (words.service_topic if _is_service(request) else words.order_topic).format(date=_date(request))
    is_first = step == min(planned.step for planned in request.plan)
    return (words.subject if is_first else words.reminder).format(brand=request.brand.name, topic=topic)


def about(request: SurveyRequested) -> str:
    """Name what the question is about: "Your order 48213 of 18 November, Tverskaya"."""
    words, event = words_of(request.locale), request.event
    form = words.service if _is_service(request) else words.order
    text = (form if event.subject else words.order_without_number).format(number=event.subject, date=_date(request))
    store = request.segments.get("store")
    return f"{text}, {store}" if store else text


def _is_service(request: SurveyRequested) -> bool:
    return request.event.type.startswith("crm.service.")


def _date(request: SurveyRequested) -> str:
    local = request.event.time.astimezone(time_zone(request.time_zone))
    return format_date(local, "d MMMM", locale=language_of(request.locale))


def _web_address(url: str | None) -> str | None:
    return url if url and url.startswith(("https://", "http://")) else None


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES),
    autoescape=jinja2.select_autoescape(["html"], default=False),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)
_html = _environment.get_template("mail.html")
_plain = _environment.get_template("mail.txt")
