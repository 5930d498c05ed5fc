"""The survey request: everything an invitation needs, copied into one event."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from services.trigger.domain.deciding.cases import Case, consent_to
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.touchpoints import TriggerPayload
from shared.contract.cloudevents import Event
from shared.contract.events import AnswerPayload, Consent, CrmPayload, EventRef, PurchaseCompleted, SurveyRequested
from shared.contract.vocabulary import CONTACT_CHANNELS


def survey_request(case: Case, *, invitation_id: UUID, send_at: datetime, link_key: str) -> SurveyRequested:
    program, respondent = case.program, case.facts.respondent
    own = {
        "respondent_id": respondent.id,
        "invitation_id": invitation_id,
        "customer_id": _customer_id(case),
        "customer_name": respondent.name,
        "event": event_ref(case.event, case.payload, at=case.started_at),
        "time_zone": case.zone,
        "plan": case.plan,
        "send_at": send_at,
        "expires_at": send_at + program.document.expires_after,
        "contact": respondent.contact,
        "consent": _consent(*(consent_to(program, respondent, channel) for channel in CONTACT_CHANNELS)),
        "segments": case.segments,
        "link_key": link_key,
    }
    # a copy is not validated again, which would cost a third of a decision: the values are valid already
    return _template(program, respondent.locale).model_copy(update=own)


def _template(program: CompiledProgram, wanted_locale: str | None) -> SurveyRequested:
    """Return a request with only the values that are the same in every request of one program version and locale."""
    locale = program.locale_for(wanted_locale)
    template = program.templates.get(locale)
    if template is None:
        document, texts = program.document, program.document.texts[locale]
        shared: dict[str, Any] = {
            "program": program.ref,
            "brand": document.brand,
            "locale": locale,
            "question": texts.question,
            "reasons": texts.reasons,
            "extra_questions": texts.extra_questions,
            "thanks": texts.thanks,
            "labels": texts.labels,
            "call_back": document.call_back,
            "plan": program.plan,
            "contact_caps": document.contact_caps,
        }
        template = program.templates[locale] = SurveyRequested.model_construct(**shared)
    return template


def request_json(request: SurveyRequested, program: CompiledProgram) -> bytes:
    """Encode a request as `model_dump_json` does; what is the same in all of its program and locale is encoded once."""
    if request.plan != program.plan:
        return request.model_dump_json().encode()
    shared = program.shared_json.get(request.locale)
    if shared is None:
        template = _template(program, request.locale)
        encoded = msgspec.json.decode(msgspec.json.encode(template, enc_hook=vars), type=dict[str, msgspec.Raw])
        shared = program.shared_json[request.locale] = {name: encoded[name] for name in template.model_fields_set}
    return msgspec.json.encode({**vars(request), **shared}, enc_hook=vars)


@lru_cache(maxsize=27)  # each channel: yes, no or unknown
def _consent(*known: bool | None) -> Consent:
    return Consent(**{channel.value: consent for channel, consent in zip(CONTACT_CHANNELS, known, strict=True)})


def _customer_id(case: Case) -> str:
    match case.payload:
        case PurchaseCompleted(customer=customer) | CrmPayload(customer=customer):  # a superclass is matched slowly
            return customer.id
        case AnswerPayload(customer_id=customer_id):
            return customer_id
    return (case.facts.respondent.customer_id or case.facts.respondent.id).strip()


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
