"""Lint: what is allowed in a program, and probably not meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.trigger.domain.programs.document import ProgramDocument, Texts
from shared.contract.vocabulary import ChannelKind

LONGEST_QUESTION = 120
MOST_ITEMS = 5
_YES_OR_NO = re.compile(
    r"(?i)^(do|does|did|is|are|was|were|have|has|had|can|could|will|would|should)\b|^(вы\s+\w+|\w+\s+ли)\b"
)


def lint(document: ProgramDocument) -> list[str]:
    """Say what is worth a second look, each with its field."""
    found = [*_texts(document), *_channels(document), *_caps(document), *_shares(document)]
    return sorted(set(found), key=found.index)


def _texts(document: ProgramDocument) -> Iterator[str]:
    for locale, texts in document.texts.items():
        for where, question in _questions(texts):
            if _YES_OR_NO.match(question.strip()):
                yield f"texts.{locale}.{where}: a yes/no question; ask how likely, how, or what"
            if len(question) > LONGEST_QUESTION:
                yield f"texts.{locale}.{where}: {len(question)} characters; at most {LONGEST_QUESTION} fit a phone"
        for where, items in _lists(texts):
            if items > MOST_ITEMS:
                yield f"texts.{locale}.{where}: {items} items; more than {MOST_ITEMS} are not read"


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
    planned = list(dict.fromkeys(step.channel for step in document.plan))
    if not set(planned) & set(document.assume_consent):
        yield (
            f"plan: only {', '.join(planned)}, and assume_consent allows none of them: "
            "nobody is asked whose events do not say consent"
        )
    for channel in document.assume_consent:
        if channel is not ChannelKind.EMAIL:
            yield f"assume_consent: {channel} without a recorded consent is against the law in many countries"


def _caps(document: ProgramDocument) -> Iterator[str]:
    if document.cadence is not None and document.quarantine >= document.cadence:
        yield "quarantine: as long as the cadence or longer, so that every second survey is skipped"
    for number, cap in enumerate(document.caps):
        if cap.after == "invitation" and cap.scope == "all" and cap.days <= document.quarantine.days:
            yield f"caps.{number}: cannot be reached, quarantine is {document.quarantine.days} days"
        if cap.then == "delay" and cap.days > document.max_age.days and cap.days > 1:
            yield f"caps.{number}: delays at most max_age, {document.max_age.days} days, and skips beyond that"
    for number, quota in enumerate(document.quotas):
        if quota.limit == 0:
            yield f"quotas.{number}: a limit of 0 asks nobody"


def _shares(document: ProgramDocument) -> Iterator[str]:
    if document.sample == 0 or document.holdout == 1:
        yield f"{'sample' if document.sample == 0 else 'holdout'}: asks nobody"
    if document.contact_caps and all(cap.limit == 0 for cap in document.contact_caps):
        yield "contact_caps: a limit of 0 sends nothing"
