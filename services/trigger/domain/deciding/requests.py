"""The survey request: everything an invitation needs, copied into one event."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from services.trigger.domain.deciding.cases import Case, consent_to
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.touchpoints import TriggerPayload
from shared.contract.cloudevents import Event
from shared.contract.events import AnswerPayload, Consent, CrmPayload, EventRef, SurveyRequested
from shared.contract.vocabulary import CONTACT_CHANNELS


def survey_request(case: Case, *, invitation_id: UUID, send_at: datetime, link_key: str) -> SurveyRequested:
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
        labels=texts.labels,
        call_back=document.call_back,
        send_at=send_at,
        expires_at=send_at + document.expires_after,
        plan=case.plan,
        contact_caps=document.contact_caps,
        contact=respondent.contact,
        consent=Consent(**{channel.value: consent_to(program, respondent, channel) for channel in CONTACT_CHANNELS}),
        segments=case.segments,
        link_key=link_key,
    )


# the fields with the same value in every request of one program version and locale
_SHARED_FIELDS = (
    "program",
    "brand",
    "locale",
    "question",
    "extra_questions",
    "reasons",
    "thanks",
    "labels",
    "call_back",
    "plan",
    "contact_caps",
)


def request_json(request: SurveyRequested, program: CompiledProgram) -> bytes:
    """Encode a request as `model_dump_json` does; the fields shared by a program and locale are encoded only once."""
    if request.plan != program.plan:
        return request.model_dump_json().encode()
    shared = program.shared_json.get(request.locale)
    if shared is None:
        fields = msgspec.json.decode(request.model_dump_json(), type=dict[str, msgspec.Raw])
        shared = program.shared_json[request.locale] = {name: fields[name].copy() for name in _SHARED_FIELDS}
    return msgspec.json.encode({**vars(request), **shared}, enc_hook=vars)


def _customer_id(case: Case) -> str:
    match case.payload:
        case CrmPayload(customer=customer):
            return customer.id
        case AnswerPayload(customer_id=customer_id):
            return customer_id
    return case.facts.respondent.customer_id or case.facts.respondent.id


def event_ref(event: Event[TriggerPayload], payload: TriggerPayload, *, at: datetime) -> EventRef:
    """Return the reference to an event, with its order or service, if it is about one."""
    order = getattr(payload, "order", None)
    about = order or getattr(payload, "service", None)
    return EventRef(
        source=event.source,
        id=event.id,
        type=event.payload.type,
        time=at,
        subject=about.id if about else None,
        number=getattr(about, "number", None),
        amount=getattr(order, "amount", None),
        currency=getattr(order, "currency", None),
    )
