"""Warns about parts of a program document that are valid but probably a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from services.trigger.domain.programs.document import NO_ZONE, CallOrder, ProgramDocument, Texts
from services.trigger.domain.programs.segments import EMPLOYEE_FIELD
from shared.contract.labels import filled
from shared.contract.sms import USUAL_SEGMENTS, sms_segments, stray_letters, with_stop
from shared.contract.vocabulary import ChannelKind
from shared.languages.current import gettext, ngettext

MAX_QUESTION_LENGTH = 120
MAX_ITEMS = 5
_USUAL_LENGTHS = {"about": 35, "topic": 25, "date": 10, "number": 8, "store": 12, "link": 50, "stop": 55}
_YES_OR_NO = re.compile(
    r"(?i)^(do|does|did|is|are|was|were|have|has|had|can|could|will|would|should)\b|^(вы\s+\w+|\w+\s+ли)\b"
)
_Warning = tuple[str, str]  # the field, and what is wrong with it


def lint(document: ProgramDocument) -> list[str]:
    """Return the warnings in the current language, each with its field."""
    checks = (_texts, _text_messages, _channels, _calls, _caps, _shares, _zone, _segments)
    warnings = [f"{where}: {why}" for check in checks for where, why in check(document)]
    return sorted(set(warnings), key=warnings.index)


def demands_of_production(document: ProgramDocument) -> list[str]:
    """Return what a document lacks that production demands, each with its field."""
    if document.brand.privacy_url:
        return []
    return ["brand.privacy_url: not set; mails and pages must lead to what becomes of the answers"]


def _texts(document: ProgramDocument) -> Iterator[_Warning]:
    for locale, texts in document.texts.items():
        for where, question in _questions(texts):
            if _YES_OR_NO.match(question.strip()):
                yield f"texts.{locale}.{where}", gettext("a yes/no question; ask how likely, how, or what")
            if len(question) > MAX_QUESTION_LENGTH:
                text = ngettext(
                    "%(num)s character; a phone shows at most %(most)s",
                    "%(num)s characters; a phone shows at most %(most)s",
                    len(question),
                    most=MAX_QUESTION_LENGTH,
                )
                yield f"texts.{locale}.{where}", text
        for where, items in _lists(texts):
            if items > MAX_ITEMS:
                text = ngettext(
                    "%(num)s item; customers rarely read more than %(most)s",
                    "%(num)s items; customers rarely read more than %(most)s",
                    items,
                    most=MAX_ITEMS,
                )
                yield f"texts.{locale}.{where}", text


def _text_messages(document: ProgramDocument) -> Iterator[_Warning]:
    usual = {name: "x" * length for name, length in _USUAL_LENGTHS.items()} | {"brand": document.brand.name}
    for locale, texts in document.texts.items():
        template = texts.labels.get("sms.text")
        if template is None:
            continue
        text, where = filled(with_stop(template), usual | {"question": texts.question}), f"texts.{locale}.labels"
        if (parts := sms_segments(text)) > USUAL_SEGMENTS:
            why = gettext(
                "about %(parts)s parts; words are left out of more than %(most)s", parts=parts, most=USUAL_SEGMENTS
            )
            yield f"{where}: sms.text", why
        if stray := stray_letters(text):
            why = gettext("with %(letters)s a part has 70 characters instead of 160", letters=" ".join(stray))
            yield f"{where}: sms.text", why


def _questions(texts: Texts) -> Iterator[tuple[str, str]]:
    yield "question", texts.question
    for number, extra in enumerate(texts.extra_questions):
        yield f"extra_questions.{number}.text", extra.text


def _lists(texts: Texts) -> Iterator[tuple[str, int]]:
    yield "reasons.promoter", len(texts.reasons.promoter)
    yield "reasons.other", len(texts.reasons.other)
    for number, extra in enumerate(texts.extra_questions):
        yield f"extra_questions.{number}.choices", len(extra.choices)


def _channels(document: ProgramDocument) -> Iterator[_Warning]:
    channels = list(dict.fromkeys(step.channel for step in document.plan))
    if all(channel.contacts for channel in channels) and not set(channels) & set(document.assume_consent):
        text = gettext(
            "only %(channels)s, and assume_consent has none of them: customers whose events carry no consent are never "
            "asked",
            channels=", ".join(channels),
        )
        yield "plan", text
    for channel in document.assume_consent:
        if channel is not ChannelKind.EMAIL:
            text = gettext("%(channel)s without a recorded consent is illegal in many countries", channel=channel)
            yield "assume_consent", text


def _calls(document: ProgramDocument) -> Iterator[_Warning]:
    if document.calls != CallOrder() and all(step.channel is not ChannelKind.CALL for step in document.plan):
        yield "calls", gettext("has no effect, the plan has no call")


def _caps(document: ProgramDocument) -> Iterator[_Warning]:
    if document.cadence is not None and document.quarantine >= document.cadence:
        yield "quarantine", gettext("not shorter than the cadence, so every second survey is skipped")
    for number, cap in enumerate(document.caps):
        if cap.after == "invitation" and cap.scope == "all" and cap.days <= document.quarantine.days:
            yield f"caps.{number}", gettext("has no effect, quarantine is %(days)s", days=_days(document.quarantine))
        if cap.then == "delay" and cap.days > document.max_age.days and cap.days > 1:
            text = gettext("delays a survey by at most max_age, %(days)s, else skips it", days=_days(document.max_age))
            yield f"caps.{number}", text
    for number, quota in enumerate(document.quotas):
        if quota.limit == 0:
            yield f"quotas.{number}", gettext("a limit of 0 asks nobody")


def _days(span: timedelta) -> str:
    return ngettext("%(num)s day", "%(num)s days", span.days)


def _shares(document: ProgramDocument) -> Iterator[_Warning]:
    if document.sample == 0 or document.holdout == 1:
        yield "sample" if document.sample == 0 else "holdout", gettext("asks nobody")
    if document.contact_caps and all(cap.limit == 0 for cap in document.contact_caps):
        yield "contact_caps", gettext("a limit of 0 sends nothing")


def _segments(document: ProgramDocument) -> Iterator[_Warning]:
    for number, segment in enumerate(document.segments):
        if segment.field == EMPLOYEE_FIELD:
            text = gettext("every answer says who served the customer; ask whether the staff know and agree")
            yield f"segments.{number}", text


def _zone(document: ProgramDocument) -> Iterator[_Warning]:
    if document.time_zone == NO_ZONE:
        yield "time_zone", gettext("not set, so the hours of customers whose zone is unknown are those of UTC")
