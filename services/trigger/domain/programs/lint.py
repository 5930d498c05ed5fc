"""Warns about parts of a program document that are valid but probably a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.trigger.domain.programs.document import NO_ZONE, ProgramDocument, Texts
from services.trigger.domain.programs.segments import EMPLOYEE_FIELD
from shared.contract.labels import filled
from shared.contract.sms import USUAL_SEGMENTS, sms_segments, stray_letters, with_stop
from shared.contract.vocabulary import ChannelKind

MAX_QUESTION_LENGTH = 120
MAX_ITEMS = 5
_USUAL_LENGTHS = {"about": 35, "topic": 25, "date": 10, "number": 8, "store": 12, "link": 50, "stop": 55}
_YES_OR_NO = re.compile(
    r"(?i)^(do|does|did|is|are|was|were|have|has|had|can|could|will|would|should)\b|^(вы\s+\w+|\w+\s+ли)\b"
)


def lint(document: ProgramDocument) -> list[str]:
    """Return the warnings, each with its field."""
    checks = (_texts, _text_messages, _channels, _caps, _shares, _zone, _segments)
    warnings = [warning for check in checks for warning in check(document)]
    return sorted(set(warnings), key=warnings.index)


def demands_of_production(document: ProgramDocument) -> list[str]:
    """Return what a document lacks that production demands, each with its field."""
    if document.brand.privacy_url:
        return []
    return ["brand.privacy_url: not set; mails and pages must lead to what becomes of the answers"]


def _texts(document: ProgramDocument) -> Iterator[str]:
    for locale, texts in document.texts.items():
        for where, question in _questions(texts):
            if _YES_OR_NO.match(question.strip()):
                yield f"texts.{locale}.{where}: a yes/no question; ask how likely, how, or what"
            if len(question) > MAX_QUESTION_LENGTH:
                yield f"texts.{locale}.{where}: {len(question)} characters; a phone shows at most {MAX_QUESTION_LENGTH}"
        for where, items in _lists(texts):
            if items > MAX_ITEMS:
                yield f"texts.{locale}.{where}: {items} items; customers rarely read more than {MAX_ITEMS}"


def _text_messages(document: ProgramDocument) -> Iterator[str]:
    usual = {name: "x" * length for name, length in _USUAL_LENGTHS.items()} | {"brand": document.brand.name}
    for locale, texts in document.texts.items():
        template = texts.labels.get("sms.text")
        if template is None:
            continue
        text, where = filled(with_stop(template), usual | {"question": texts.question}), f"texts.{locale}.labels"
        if (parts := sms_segments(text)) > USUAL_SEGMENTS:
            yield f"{where}: sms.text: about {parts} parts; words are left out of what is longer than {USUAL_SEGMENTS}"
        if stray := stray_letters(text):
            yield f"{where}: sms.text: with {' '.join(stray)} a part has 70 characters instead of 160"


def _questions(texts: Texts) -> Iterator[tuple[str, str]]:
    yield "question", texts.question
    for number, extra in enumerate(texts.extra_questions):
        yield f"extra_questions.{number}.text", extra.text


def _lists(texts: Texts) -> Iterator[tuple[str, int]]:
    yield "reasons.promoter", len(texts.reasons.promoter)
    yield "reasons.other", len(texts.reasons.other)
    for number, extra in enumerate(texts.extra_questions):
        yield f"extra_questions.{number}.choices", len(extra.choices)


def _channels(document: ProgramDocument) -> Iterator[str]:
    channels = list(dict.fromkeys(step.channel for step in document.plan))
    if all(channel.contacts for channel in channels) and not set(channels) & set(document.assume_consent):
        yield (
            f"plan: only {', '.join(channels)}, and assume_consent has none of them: "
            "customers whose events carry no consent are never asked"
        )
    for channel in document.assume_consent:
        if channel is not ChannelKind.EMAIL:
            yield f"assume_consent: {channel} without a recorded consent is illegal in many countries"


def _caps(document: ProgramDocument) -> Iterator[str]:
    if document.cadence is not None and document.quarantine >= document.cadence:
        yield "quarantine: not shorter than the cadence, so every second survey is skipped"
    for number, cap in enumerate(document.caps):
        if cap.after == "invitation" and cap.scope == "all" and cap.days <= document.quarantine.days:
            yield f"caps.{number}: has no effect, quarantine is {document.quarantine.days} days"
        if cap.then == "delay" and cap.days > document.max_age.days and cap.days > 1:
            yield f"caps.{number}: delays a survey by at most max_age, {document.max_age.days} days, else skips it"
    for number, quota in enumerate(document.quotas):
        if quota.limit == 0:
            yield f"quotas.{number}: a limit of 0 asks nobody"


def _shares(document: ProgramDocument) -> Iterator[str]:
    if document.sample == 0 or document.holdout == 1:
        yield f"{'sample' if document.sample == 0 else 'holdout'}: asks nobody"
    if document.contact_caps and all(cap.limit == 0 for cap in document.contact_caps):
        yield "contact_caps: a limit of 0 sends nothing"


def _segments(document: ProgramDocument) -> Iterator[str]:
    for number, segment in enumerate(document.segments):
        if segment.field == EMPLOYEE_FIELD:
            yield f"segments.{number}: every answer says who served the customer; ask whether the staff know and agree"


def _zone(document: ProgramDocument) -> Iterator[str]:
    if document.time_zone == NO_ZONE:
        yield "time_zone: not set, so the hours of customers whose zone is unknown are those of UTC"
