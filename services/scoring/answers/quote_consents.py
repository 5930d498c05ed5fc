"""Publishes whether the words of answers may be quoted, in the transaction that changes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.scoring.answers import publishing
from services.scoring.domain.answers import AnswerVersion
from services.scoring.domain.comments.quotes import QuotedAnswer
from services.scoring.repository.comments import quotes
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import Payload, QuoteConsentChanged
from shared.contract.vocabulary import Service
from shared.database.session import Session


def changed(quoted: QuotedAnswer, name: str | None, *, at: datetime) -> Event[Payload]:
    """Return the event that a consent gives this name, "" for none, or that there is no consent any more: None."""
    payload = QuoteConsentChanged(
        respondent_id=quoted.respondent_id,
        invitation_id=quoted.invitation_id,
        customer_id=quoted.customer_id,
        answer_id=quoted.answer_id,
        program=quoted.program,
        given=name is not None,
        name=name or None,
        at=at,
    )
    return cloudevents.new(payload, service=Service.SCORING, at=at)


async def end(session: Session, quoted: Iterable[QuotedAnswer], *, at: datetime) -> None:
    """Publish that these answers may be quoted no more."""
    await publishing.publish(session, [changed(each, None, at=at) for each in quoted])


async def of_versions(session: Session, versions: Sequence[AnswerVersion]) -> list[Event[Payload]]:
    """Return the events of answers with a consent that begin to count, or do not count any more: those are suspect."""
    turned = [each for each in versions if each.before is not None and each.before.counts != each.after.counts]
    names = await quotes.names(session, [each.after.answer_id for each in turned]) if turned else {}
    return [
        changed(QuotedAnswer.of(each.invitation, each.after), name if each.after.counts else None, at=each.entry.at)
        for each in turned
        if (name := names.get(each.after.answer_id)) is not None
    ]
