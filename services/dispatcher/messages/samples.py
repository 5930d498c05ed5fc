"""A made-up request, to look at mails and to send a test with; its links lead nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.dispatcher.messages.texts import language_of
from shared.contract.events import Brand, Consent, Contact, EventRef, PlanStep, ProgramRef, SurveyRequested
from shared.contract.vocabulary import ChannelKind

_WHEN = datetime(2026, 3, 2, 12, tzinfo=UTC)
_QUESTIONS = {
    "ru": "Какова вероятность того, что вы порекомендуете нас другу или коллеге?",
    "en": "How likely are you to recommend us to a friend or colleague?",
}


def sample_request(  # noqa: PLR0913 - what a mail is made of
    invitation_id: UUID, *, brand: str, locale: str, template: str, address: str, link_key: str
) -> SurveyRequested:
    """Make a request to be mailed twice, by the same template."""
    return SurveyRequested(
        respondent_id="sample",
        invitation_id=invitation_id,
        customer_id="sample",
        event=EventRef(source="sample", id="1", type="crm.purchase.completed", time=_WHEN, subject="48213"),
        program=ProgramRef(id="sample", version=1),
        brand=Brand(name=brand, privacy_url="https://example.com/privacy"),
        locale=locale,
        time_zone="UTC",
        question=_QUESTIONS[language_of(locale)],
        send_at=_WHEN,
        expires_at=_WHEN + timedelta(days=21),
        plan=[PlanStep(step=step, channel=ChannelKind.EMAIL, delay_s=0, template=template) for step in (1, 2)],
        contact=Contact(email=address),
        consent=Consent(email=True),
        segments={"store": "Tverskaya"},
        test=True,
        link_key=link_key,
    )
