"""The survey request: everything an invitation needs, copied into one event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar
from uuid import UUID

import msgspec
from msgspec import structs

from services.trigger.domain.deciding.cases import Case, consent_to
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.programs.segments import reported_segments
from services.trigger.domain.touchpoints import TriggerPayload
from shared.contract.cloudevents import Event
from shared.contract.events import (
    AnswerPayload,
    Brand,
    CallPriority,
    Consent,
    ContactCap,
    CrmPayload,
    EventRef,
    ExtraQuestion,
    PlanStep,
    ProgramRef,
    PurchaseCompleted,
    Reasons,
    SurveyRequested,
    Thanks,
)
from shared.contract.vocabulary import CONTACT_CHANNELS, ChannelKind


class EventReference(msgspec.Struct, frozen=True, gc=False):
    """See the contract's EventRef."""

    source: str
    id: str
    type: str
    time: datetime
    subject: str | None
    number: str | None
    amount: Decimal | None
    currency: str | None


class Addresses(msgspec.Struct, frozen=True, gc=False):
    """See the contract's Contact."""

    email: str | None
    phone: str | None


class SurveyRequest(msgspec.Struct, frozen=True, gc=False):
    """The payload of `survey.requested`, see the contract's SurveyRequested; it is written and never read."""

    type: ClassVar[str] = SurveyRequested.type
    topic: ClassVar[str] = SurveyRequested.topic

    respondent_id: str
    invitation_id: UUID
    customer_id: str
    customer_name: str | None
    event: EventReference
    program: ProgramRef
    brand: Brand
    locale: str
    time_zone: str
    question: str
    reasons: Reasons
    extra_questions: Sequence[ExtraQuestion]
    thanks: Thanks
    labels: Mapping[str, str]
    call_back: bool
    call_priority: CallPriority
    anonymous: bool
    send_at: datetime
    expires_at: datetime
    plan: Sequence[PlanStep]
    contact_caps: Sequence[ContactCap]
    contact: Addresses
    consent: Consent
    assumed: Sequence[ChannelKind]
    offers: Sequence[ChannelKind]
    segments: Mapping[str, str]
    test: bool
    link_key: str

    @property
    def key(self) -> str:
        return self.respondent_id


def survey_request(case: Case, *, invitation_id: UUID, send_at: datetime, link_key: str) -> SurveyRequest:
    program, respondent = case.program, case.facts.respondent
    document, locale = program.document, program.locale_for(respondent.locale)
    texts = document.texts[locale]
    return SurveyRequest(
        respondent_id=respondent.id,
        invitation_id=invitation_id,
        customer_id=_customer_id(case),
        customer_name=respondent.name,
        event=event_reference(case.event, case.payload, at=case.started_at),
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
        call_priority=program.call_priority_for(case.fields),
        anonymous=document.anonymous,
        send_at=send_at,
        expires_at=send_at + document.expires_after,
        plan=case.plan,
        contact_caps=document.contact_caps,
        contact=Addresses(respondent.email, respondent.phone),
        consent=_consent(*(consent_to(program, respondent, channel) for channel in CONTACT_CHANNELS)),
        assumed=case.assumed,
        offers=respondent.offers,
        segments=reported_segments(document.segments, case.segments),
        test=False,
        link_key=link_key,
    )


_OF_PROGRAM = (  # the fields that are the same in every request of one program version and locale
    *("program", "brand", "locale", "question", "reasons", "extra_questions", "thanks", "labels", "call_back"),
    *("anonymous", "plan", "contact_caps", "test"),
)


def request_json(request: SurveyRequest, program: CompiledProgram) -> bytes:
    """Encode a request as its model is encoded; what is the same in all of its program and locale is encoded once."""
    shared = program.shared_json.get(request.locale)
    if shared is None:
        fields = structs.asdict(structs.replace(request, plan=program.plan))
        shared = {name: msgspec.Raw(msgspec.json.encode(fields[name], enc_hook=vars)) for name in _OF_PROGRAM}
        program.shared_json[request.locale] = shared
    own = {} if request.plan == program.plan else {"plan": request.plan}
    return msgspec.json.encode(structs.replace(request, **{**shared, **own}), enc_hook=vars)


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


def event_reference(event: Event[TriggerPayload], payload: TriggerPayload, *, at: datetime) -> EventReference:
    """Return the reference to an event, with its order or service, if it is about one."""
    order = getattr(payload, "order", None)
    about = order or getattr(payload, "service", None)
    return EventReference(
        event.source,
        event.id,
        event.payload.type,
        at,
        subject=about.id if about else None,
        number=getattr(about, "number", None),
        amount=getattr(order, "amount", None),
        currency=getattr(order, "currency", None),
    )


def event_ref(event: Event[TriggerPayload], payload: TriggerPayload, *, at: datetime) -> EventRef:
    return EventRef(**structs.asdict(event_reference(event, payload, at=at)))
