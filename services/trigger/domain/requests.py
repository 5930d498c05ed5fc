"""What an invitation needs to know, frozen into one request."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.trigger.domain.decisions import consent_to
from services.trigger.domain.programs import Program
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import CrmEvent, touchpoint_key
from shared.events import Consent, EventRef, PlanStep, ProgramRef, SurveyRequested, Touchpoint
from shared.vocabulary import ChannelKind


def survey_request(  # noqa: PLR0913 - a request is put together from all of them
    event: CrmEvent,
    program: Program,
    respondent: Respondent,
    *,
    invitation_id: UUID,
    link_key: str,
    now: datetime,
) -> SurveyRequested:
    """Put the request together; it goes out `delay` after the event happened, never before now."""
    document = program.document
    happened_at = min(event.time, now)
    send_at = max(happened_at + document.delay, now)
    locale = program.locale_for(respondent.locale)
    texts = document.texts[locale]
    return SurveyRequested(
        respondent_id=respondent.id,
        invitation_id=invitation_id,
        customer_id=event.payload.customer.id,
        customer_name=respondent.name,
        event=_event_ref(event, happened_at),
        program=ProgramRef(id=program.id, version=program.version, title=document.title),
        brand=document.brand,
        locale=locale,
        time_zone=respondent.time_zone or document.time_zone,
        question=texts.question,
        reasons=texts.reasons,
        extra_questions=texts.extra_questions,
        thanks=texts.thanks,
        send_at=send_at,
        expires_at=send_at + document.expires_after,
        plan=_plan(program),
        contact=respondent.contact,
        consent=Consent(**{channel: consent_to(program, respondent, channel) for channel in ChannelKind}),
        segments=_segments(event),
        link_key=link_key,
    )


def _event_ref(event: CrmEvent, happened_at: datetime) -> EventRef:
    about = touchpoint_key(event.payload)
    order = getattr(event.payload, "order", None)
    return EventRef(
        source=event.source,
        id=event.id,
        type=event.payload.type,
        time=happened_at,
        subject=about.ref if about else None,
        amount=getattr(order, "amount", None),
        currency=getattr(order, "currency", None),
    )


def _plan(program: Program) -> list[PlanStep]:
    return [
        PlanStep(
            step=number,
            channel=step.channel,
            delay_s=int(step.after.total_seconds()),
            template=step.template,
            window=step.window,
            max_attempts=step.max_attempts,
        )
        for number, step in enumerate(program.document.plan, start=1)
    ]


def _segments(event: CrmEvent) -> dict[str, str]:
    touchpoint: Touchpoint = getattr(event.payload, "touchpoint", Touchpoint())
    return touchpoint.model_dump(exclude_none=True)
