"""What an invitation needs to know, frozen into one request."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from services.trigger.domain.deciding.cases import Case, consent_to
from services.trigger.domain.programs.program import Program
from services.trigger.domain.touchpoints import Happening, TouchpointKind, TriggerPayload, touchpoint_key
from shared.contract.events import AnswerPayload, Consent, CrmPayload, EventRef, SurveyRequested
from shared.contract.vocabulary import ChannelKind


def survey_request(case: Case, *, invitation_id: UUID, send_at: datetime, link_key: str) -> SurveyRequested:
    """Put the request together."""
    program, respondent = case.program, case.facts.respondent
    document = program.document
    locale = program.locale_for(respondent.locale)
    texts = document.texts[locale]
    return SurveyRequested(
        respondent_id=respondent.id,
        invitation_id=invitation_id,
        customer_id=_customer_id(case),
        customer_name=respondent.name,
        event=event_ref(case.event, case.payload, at=case.started_at),
        program=program.ref,
        brand=document.brand,
        locale=locale,
        time_zone=case.zone,
        question=texts.question,
        reasons=texts.reasons,
        extra_questions=texts.extra_questions,
        thanks=texts.thanks,
        call_back=document.call_back,
        send_at=send_at,
        expires_at=send_at + document.expires_after,
        plan=program.plan,
        contact_caps=document.contact_caps,
        contact=respondent.contact,
        consent=Consent(**{channel.value: consent_to(program, respondent, channel) for channel in ChannelKind}),
        segments=case.segments,
        link_key=link_key,
    )


# what everybody of a program's version and locale is sent; a field that is not named here is each customer's own
_ALIKE = (
    "program",
    "brand",
    "locale",
    "question",
    "extra_questions",
    "reasons",
    "thanks",
    "call_back",
    "plan",
    "contact_caps",
)


def request_json(request: SurveyRequested, program: Program) -> bytes:
    """Write a request as `model_dump_json` does; what is the same for everybody of a locale is written once."""
    alike = program.written.get(request.locale)
    if alike is None:
        fields = msgspec.json.decode(request.model_dump_json(), type=dict[str, msgspec.Raw])
        alike = program.written[request.locale] = {name: fields[name].copy() for name in _ALIKE}
    return msgspec.json.encode({**vars(request), **alike}, enc_hook=vars)


def _customer_id(case: Case) -> str:
    match case.payload:
        case CrmPayload(customer=customer):
            return customer.id
        case AnswerPayload(customer_id=customer_id):
            return customer_id
    return case.facts.respondent.customer_id or case.facts.respondent.id


def event_ref(event: Happening, payload: TriggerPayload, *, at: datetime) -> EventRef:
    """Name an event, and the order or service, if it is about one."""
    about, order = touchpoint_key(payload), getattr(payload, "order", None)
    named = about is not None and about.kind in (TouchpointKind.ORDER, TouchpointKind.SERVICE)
    return EventRef(
        source=event.source,
        id=event.id,
        type=event.payload.type,
        time=at,
        subject=about.ref if about and named else None,
        amount=getattr(order, "amount", None),
        currency=getattr(order, "currency", None),
    )
