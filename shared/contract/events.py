"""The contract: every event the services exchange, with its topic, key and version.

Consumers ignore unknown fields, and fields are only added. JSON Schemas are generated from these models into
`docs/events/` (`earshot schemas`), and samples of every published version are kept in `tests/contract/samples/`.
`shared/messaging/codec.py` writes and reads events as CloudEvents 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)

from shared.contract.sms import SmsSender
from shared.contract.vocabulary import (
    NAMESPACE,
    AnswerMode,
    AttemptState,
    CallDisposition,
    CallOutcome,
    Category,
    ChannelKind,
    ConsentPurpose,
    ErasedAt,
    InvitationOutcome,
    ProgramState,
    Service,
    SuppressionReason,
    UnansweredCall,
    respondent_id,
)


def _utc(moment: datetime) -> datetime:
    if not 1900 <= moment.year < 2200:  # far from the ends of the calendar, where time arithmetic overflows
        raise ValueError("the year must be between 1900 and 2199")
    return moment.astimezone(UTC)


def _empty(kind: type[Any]) -> Any:
    """Default to an empty list or dict; pydantic would deep-copy a literal default for every event."""
    return Field(default_factory=kind, json_schema_extra={"default": kind()})


def _by_name(attributes: dict[str, Scalar]) -> dict[str, Scalar]:
    """Sort by name, so that equal attributes are serialized equally."""
    return dict(sorted(attributes.items()))


Id = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Namespace = Annotated[str, StringConstraints(pattern=f"^({NAMESPACE.pattern})?$")]
Name = Annotated[str, StringConstraints(max_length=300)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Money = Annotated[Decimal, Field(max_digits=18, decimal_places=4)]
Score = Annotated[int, Field(strict=True, ge=0, le=10)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Scalar = Annotated[str, StringConstraints(max_length=1000)] | bool | int | float | None
Attributes = Annotated[dict[Id, Scalar], Field(max_length=100), AfterValidator(_by_name)]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]  # SHA-256, in hex
Labels = Annotated[dict[Id, Annotated[str, StringConstraints(max_length=2000)]], Field(max_length=200)]
Segments = Annotated[dict[Id, Id], Field(max_length=50)]


class Part(BaseModel):
    """A part of an event: frozen, ignores unknown fields, allows no NaN and no infinity."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, str_max_length=20_000)


class Payload(Part):
    """The `data` of one event type."""

    type: ClassVar[str]
    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1

    @property
    def key(self) -> str:
        """The message key: messages of one key keep their order."""
        raise NotImplementedError


# --- crm.events: what happened to a customer; any system may write them, with any message key


class ConsentRecord(Part):
    """Consent with its proof: when it was given or refused, where, and by which words.

    Without `purposes`, yes is to surveys only and no is to everything; a yes to no purpose is a no to everything.
    Without `at`, it is as old as the event.
    """

    given: bool
    at: Instant | None = None
    source: Name | None = None
    text: Text | None = None
    purposes: Annotated[list[ConsentPurpose], Field(max_length=10)] | None = None


class CustomerConsent(Part):
    """Consent to each channel: a record, true (to surveys), false (to everything), or null for unknown."""

    email: bool | ConsentRecord | None = None
    sms: bool | ConsentRecord | None = None
    call: bool | ConsentRecord | None = None


class Consent(CustomerConsent):
    """Consent to surveys over each channel: true, false, or null for unknown."""

    email: bool | None = None
    sms: bool | None = None
    call: bool | None = None


class CustomerRef(Part):
    """A customer's id, which is unique in its namespace; ids without one share a namespace."""

    id: Id
    namespace: Namespace | None = None


class Customer(CustomerRef):
    name: Name | None = None
    email: Name | None = None
    phone: Name | None = None
    locale: Name | None = None
    time_zone: Name | None = None
    consent: CustomerConsent = CustomerConsent()
    attributes: Attributes | None = _empty(dict)


class Touchpoint(Part):
    store: Id | None = None
    region: Id | None = None
    channel: Id | None = None
    employee: Id | None = None
    device: Id | None = None
    stage: Id | None = None


class Item(Part):
    id: Id
    name: Name | None = None
    quantity: Money | None = None
    amount: Money | None = None


class OrderRef(Part):
    """`number` is the name that people know the order by, if it is not its id."""

    id: Id
    number: Id | None = None


class Order(OrderRef):
    amount: Money | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    items: Annotated[list[Item], Field(max_length=500)] = _empty(list)


class ServiceRef(Part):
    """`number` is the name that people know the service by, if it is not its id."""

    id: Id
    number: Id | None = None


class ServiceJob(ServiceRef):
    kind: Id | None = None


class CrmPayload(Payload):
    topic = "crm.events"
    customer: CustomerRef

    @property
    def key(self) -> str:
        """The respondent's id, if no respondent is known under an older one."""
        return respondent_id(self.customer.id, self.customer.namespace)


class PurchaseCompleted(CrmPayload):
    """A purchase was handed over or delivered."""

    type = "crm.purchase.completed"
    customer: Customer
    order: Order
    touchpoint: Touchpoint = Touchpoint()
    attributes: Attributes = _empty(dict)


class ServiceCompleted(CrmPayload):
    """A service was completed."""

    type = "crm.service.completed"
    customer: Customer
    service: ServiceJob
    touchpoint: Touchpoint = Touchpoint()
    attributes: Attributes = _empty(dict)


class OrderDelivered(CrmPayload):
    """An order was delivered; programs with `delay_from: delivery` count their delay from this event."""

    type = "crm.order.delivered"
    order: OrderRef
    attributes: Attributes | None = None


class PurchaseCancelled(CrmPayload):
    """A purchase was cancelled; a survey about it that is not answered yet is withdrawn."""

    type = "crm.purchase.cancelled"
    order: OrderRef
    reason: Text | None = None


class ServiceReopened(CrmPayload):
    """A service was reopened; a survey about it that is not answered yet is withdrawn."""

    type = "crm.service.reopened"
    service: ServiceRef
    reason: Text | None = None


class CustomerUpdated(CrmPayload):
    """New addresses or consent: absent fields keep their values, null clears them (a merge patch, RFC 7396)."""

    type = "crm.customer.updated"
    customer: Customer


class CustomerErased(CrmPayload):
    """A customer asked to be erased: Earshot deletes their addresses, names and comments."""

    type = "crm.customer.erased"


# --- survey.*: keyed by respondent


class SurveyPayload(Payload):
    respondent_id: Id

    @property
    def key(self) -> str:
        return self.respondent_id


class InvitationPayload(SurveyPayload):
    invitation_id: UUID


class EventRef(Part):
    """The event that an invitation is about; `subject` is the id of its order or service, `number` the known name."""

    source: Id
    id: Id
    type: Id
    time: Instant
    subject: Id | None = None
    number: Id | None = None
    amount: Money | None = None
    currency: Id | None = None

    @property
    def known_as(self) -> str | None:
        """What people call the order or service: its number, or its id if it has none."""
        return self.number or self.subject


class ProgramRef(Part):
    id: Id
    version: Whole
    title: Name = ""


class Brand(Part):
    """A brand; `sms_sender` is the sender of its text messages, `sms_senders` those of single locales.

    Without one, the gateway's account names the sender.
    """

    name: Name
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] = "#17202a"
    logo_url: Name | None = None
    privacy_url: Name | None = None
    review_url: Name | None = None
    sms_sender: SmsSender | None = None
    sms_senders: Annotated[dict[Id, SmsSender], Field(max_length=50)] = _empty(dict)

    def sms_sender_in(self, locale: str) -> str | None:
        return self.sms_senders.get(locale, self.sms_sender)


class Reason(Part):
    id: Id
    text: Name


class Reasons(Part):
    """Reasons to choose from after the score, one list for promoters and one for the others."""

    promoter: list[Reason] = _empty(list)
    other: list[Reason] = _empty(list)


class ExtraQuestion(Part):
    id: Id
    text: Text
    choices: list[Reason] = _empty(list)


class Thanks(Part):
    promoter: Text = ""
    passive: Text = ""
    detractor: Text = ""


class Window(Part):
    """Hours of the respondent's local day in which a step may be sent."""

    start: time = time(9)
    end: time = time(21)

    @field_validator("start", "end")
    @classmethod
    def _of_the_respondents_day(cls, hour: time) -> time:
        """Drop the zone of a time: it is always in the respondent's time zone."""
        return hour.replace(tzinfo=None)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise ValueError("window: start must be before end")
        return self


class CallRetry(Part):
    """What follows a call that reached nobody: another after `after_s` seconds, none after `limit` such calls."""

    after_s: Annotated[int, Field(strict=True, ge=60, le=1_209_600)]
    limit: Annotated[int, Field(strict=True, ge=1, le=20)] | None = None


class PlanStep(Part):
    """A planned contact: `delay_s` seconds of business time after the step before it, at most `max_attempts` tries.

    Only calls have `retries`; a disposition without one has its own in `CALL_RETRIES`.
    """

    step: Annotated[int, Field(strict=True, ge=1, le=100)]
    channel: ChannelKind
    delay_s: Whole
    template: Id = "default"
    window: Window | None = None
    holidays: Id | None = None
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 3
    retries: dict[UnansweredCall, CallRetry] = _empty(dict)


CALL_RETRIES: Mapping[UnansweredCall, CallRetry] = {
    UnansweredCall.NO_ANSWER: CallRetry(after_s=10_800),
    UnansweredCall.BUSY: CallRetry(after_s=900),
    UnansweredCall.MACHINE: CallRetry(after_s=10_800),
}


class CallPriority(Part):
    """How soon a survey's call is made: higher values first; the reason is shown at the desk."""

    value: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = 0
    reason: Name = ""


class ContactCap(Part):
    """At most `limit` contacts in `days` days, over `channel`, or over all channels if it is null."""

    name: Id
    channel: ChannelKind | None = None
    limit: Whole
    days: Whole


class Contact(Part):
    email: Name | None = None
    phone: Name | None = None


class SurveyRequested(InvitationPayload):
    """A survey of one respondent about one event, with everything that is needed to ask and to answer it.

    `assumed` are the channels to which consent is assumed, `offers` those over which offers are allowed, too.
    The answer to an `anonymous` one is kept without its respondent.
    """

    type = "survey.requested"
    topic = "survey.requests"
    customer_id: Id
    customer_name: Name | None = None
    event: EventRef
    program: ProgramRef
    brand: Brand
    locale: Id
    time_zone: Id
    question: Text
    reasons: Reasons = Reasons()
    extra_questions: Annotated[list[ExtraQuestion], Field(max_length=2)] = _empty(list)
    thanks: Thanks = Thanks()
    labels: Labels = _empty(dict)
    call_back: bool = True
    call_priority: CallPriority = CallPriority()
    anonymous: bool = False
    send_at: Instant
    expires_at: Instant
    plan: Annotated[list[PlanStep], Field(min_length=1, max_length=100)]
    contact_caps: list[ContactCap] = _empty(list)
    contact: Contact
    consent: Consent = Consent()
    assumed: list[ChannelKind] = _empty(list)
    offers: list[ChannelKind] = _empty(list)
    segments: Segments = _empty(dict)
    test: bool = False
    link_key: Id


class SurveyWithdrawn(InvitationPayload):
    """A survey was withdrawn, for example after its purchase was cancelled: it can no longer be sent or answered."""

    type = "survey.withdrawn"
    topic = "survey.requests"
    reason: Id


class RespondentConsentChanged(SurveyPayload):
    """A respondent's consent changed; consent to a channel that is null here stays as it was.

    `offers` are all channels over which offers are allowed; null if that did not change.
    """

    type = "respondent.consent_changed"
    topic = "survey.requests"
    consent: Consent
    offers: list[ChannelKind] | None = None


class RespondentContactAdded(SurveyPayload):
    """An address became known of a respondent who had none for its channel; it holds for open surveys, too.

    Only the addresses that are new are set.
    """

    type = "respondent.contact_added"
    topic = "survey.requests"
    contact: Contact


class RespondentErased(SurveyPayload):
    """A respondent is erased; their open surveys end."""

    type = "respondent.erased"
    topic = "survey.requests"


class ErasedPlace(Part):
    """A place to which data of the respondent had gone, without ids of there, and what was done there."""

    name: Id
    done: ErasedAt


class ErasureConfirmed(SurveyPayload):
    """A service has erased a respondent; the topic keeps it for longer than backups are kept."""

    type = "erasure.confirmed"
    topic = "survey.erasures"
    service: Service
    places: list[ErasedPlace] = _empty(list)


class RespondentPurchased(SurveyPayload):
    """A purchase or service of a respondent asked in the 90 days before it; scoring counts returning customers.

    `cancelled` takes back the purchase of this event, if it was counted.
    """

    type = "respondent.purchased"
    topic = "survey.requests"
    event: EventRef
    cancelled: bool = False


class ProgramPublished(Payload):
    """The whole document of a program version, and whether it asks and sends; the topic is compacted.

    `state` is null from a publisher that does not know it: the program's state stays as it is, at first `on`.
    """

    type = "program.published"
    topic = "survey.programs"
    program_id: Id
    program_version: Whole
    document: dict[str, JsonValue]
    state: ProgramState | None = None

    @property
    def key(self) -> str:
        return self.program_id


class ContactAttempted(InvitationPayload):
    """The state of a contact attempt; a higher revision replaces a lower one."""

    type = "contact.attempted"
    topic = "survey.deliveries"
    attempt_id: UUID
    revision: Whole
    step: Whole
    channel: ChannelKind
    provider: Id
    state: AttemptState
    reason: Id | None = None
    at: Instant


class InvitationClosed(InvitationPayload):
    """An invitation has ended; a late answer may change exhausted or expired to answered."""

    type = "invitation.closed"
    topic = "survey.deliveries"
    outcome: InvitationOutcome
    at: Instant


class Suppression(SurveyPayload):
    """See RespondentSuppressed for the meaning of null."""

    channel: ChannelKind | None = None
    program: Id | None = None
    reason: SuppressionReason
    until: Instant | None = None
    address: Fingerprint | None = None
    addresses: list[Fingerprint] = _empty(list)


class RespondentSuppressed(Suppression):
    """Contacts with a respondent, or with one of their addresses, are forbidden.

    Over all channels if `channel` is null, in all programs if `program` is null, without end if `until` is null.
    `address` is the SHA-256, in hex, of that one address; null if the respondent is suppressed. `addresses` are
    fingerprints under `EARSHOT_ADDRESS_KEYS` of the addresses that are bound whatever respondent has them.
    """

    type = "respondent.suppressed"
    topic = "survey.deliveries"


class RespondentReleased(Suppression):
    """A suppression was lifted or has ended; its fields are those of `respondent.suppressed`.

    `addresses` are those that are no longer bound; an address that is not named stays bound.
    """

    type = "respondent.released"
    topic = "survey.deliveries"


class CallRequested(InvitationPayload):
    """A task for the call centre: to ask the question of the survey by phone."""

    type = "call.requested"
    topic = "survey.calls"
    task_id: UUID
    step: Whole
    name: Name | None = None
    phone: Name
    time_zone: Id
    locale: Id
    script: Text
    summary: Text = ""
    window: Window | None = None
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 3
    priority: int = 0
    expires_at: Instant


class CallWithdrawn(InvitationPayload):
    """A call task was withdrawn: the call must not be made any more."""

    type = "call.withdrawn"
    topic = "survey.calls"
    task_id: UUID
    reason: Id


class AnsweredEvent(Part):
    """The event that the answered survey was about; `subject` is its order or service, null after an erasure."""

    source: Id
    id: Id
    subject: Id | None = None


class AnswerPayload(InvitationPayload):
    """An answer; for an anonymous one, made-up ids stand for invitation, respondent and customer, and `event` is null.

    These ids are the same in all versions of one answer.
    """

    topic = "survey.answers"
    customer_id: Id
    answer_id: UUID
    version: Annotated[int, Field(strict=True, ge=1)]
    program: ProgramRef
    score: Score
    category: Category
    reasons: list[Id] = _empty(list)
    comment: Text | None = None
    segments: Segments = _empty(dict)
    mode: AnswerMode
    step: Whole
    suspect: bool = False
    answered_at: Instant
    event: AnsweredEvent | None = None
    anonymous: bool = False


class SurveyAnswered(AnswerPayload):
    """The first answer to a survey."""

    type = "survey.answered"


class AnswerAmended(AnswerPayload):
    """A newer version of an answer; it replaces the earlier one."""

    type = "answer.amended"


class InvitationAnswered(InvitationPayload):
    """An anonymous survey was answered: it needs no reminder. The event says nothing about the answer."""

    type = "invitation.answered"
    topic = "survey.answers"


class CallAttempted(InvitationPayload):
    """The result of one call."""

    type = "call.attempted"
    topic = "survey.answers"
    task_id: UUID
    attempt: Whole
    disposition: CallDisposition
    at: Instant


class CallClosed(InvitationPayload):
    """A call task has ended; published once for each task."""

    type = "call.closed"
    topic = "survey.answers"
    task_id: UUID
    outcome: CallOutcome
    at: Instant


class RespondentOptedOut(InvitationPayload):
    """The respondent opted out, on the answer page or on the phone; a null `channel` means all channels."""

    type = "respondent.opted_out"
    topic = "survey.answers"
    channel: ChannelKind | None = None
    at: Instant


class QuoteConsentChanged(InvitationPayload):
    """A respondent allowed that the comment of an answer is quoted, by this `name` or without one, or took that back.

    The last event of an answer holds for all words that its respondent wrote, not for those that an operator typed;
    without one, nothing may be quoted. There is one, too, when the answer is deleted, erased or found suspect (`given`
    is false), and when a suspect one with a consent counts again. The name is null where no consent is given, and if
    it is given without a name. Of an anonymous answer all ids are made up.
    """

    type = "quote.consent_changed"
    topic = "survey.quotes"
    customer_id: Id
    answer_id: UUID
    program: ProgramRef
    given: bool
    name: Name | None = None
    at: Instant


# --- nps.*: for the systems downstream


class Interval(Part):
    """An interval in NPS points, -100 to 100; adjusted Wald (+3/4 promoters, +3/2 passives, +3/4 detractors)."""

    low: float
    high: float
    confidence: float = 0.95


class ByMode(Part):
    self: Whole = 0
    operator: Whole = 0
    imported: Whole = 0


class NpsUpdated(Payload):
    """Figures of one series and day; they replace figures of the same message key with a lower `sequence`."""

    type = "nps.updated"
    topic = "nps.updates"
    program: Id
    dimension: Id
    value: Name
    day: date
    n: Whole
    by_score: Annotated[list[Whole], Field(min_length=11, max_length=11)]
    promoters: Whole
    passives: Whole
    detractors: Whole
    nps: float | None
    interval: Interval | None
    by_mode: ByMode
    suspects: Whole
    invited: int
    definition: Id = "every_answer"
    sequence: Whole

    @property
    def key(self) -> str:
        return f"{self.program}|{self.dimension}|{self.value}|{self.day.isoformat()}"


class DetractorReported(Payload):
    """A respondent became a detractor, or a detractor newly asked to be called back."""

    type = "detractor.reported"
    topic = "nps.alerts"
    program: Id
    invitation_id: UUID
    answer_id: UUID
    score: Score
    reasons: list[Id] = _empty(list)
    segments: Segments = _empty(dict)
    callback_wanted: bool = False
    at: Instant

    @property
    def key(self) -> str:
        return self.program


class NpsDropped(Payload):
    """The score of one series dropped significantly from one week to the next."""

    type = "nps.dropped"
    topic = "nps.alerts"
    program: Id
    dimension: Id
    value: Name
    before: float
    after: float
    difference: Interval
    moved_by: Name | None = None
    at: Instant

    @property
    def key(self) -> str:
        return self.program


class StaffChanged(Payload):
    """What somebody of the staff may see; tickets of a lower revision have to be renewed.

    Null is no limit. `stores` has every name that events use for them. The topic is compacted.
    """

    type = "staff.changed"
    topic = "survey.staff"
    person_id: UUID
    revision: Whole
    programs: list[Id] | None = None
    stores: list[Name] | None = None

    @property
    def key(self) -> str:
        return str(self.person_id)


class MessageRequested(SurveyPayload):
    """Reserved for follow-up messages; not published yet."""

    type = "message.requested"
    topic = "survey.messages"
    message_id: UUID
    channel: ChannelKind
    template: Id
    parameters: dict[Id, Text] = _empty(dict)
    send_at: Instant


class AuditAnchored(Payload):
    """The number and hash of the last row of a day, in UTC, of a service's audit log, to compare the log with."""

    type = "audit.anchored"
    topic = "survey.audit"
    service: Service
    day: date
    number: Whole
    hash: Fingerprint

    @property
    def key(self) -> str:
        return f"{self.service}|{self.day.isoformat()}"


def _concrete(base: type[Payload]) -> list[type[Payload]]:
    found = [base] if "type" in base.__dict__ else []
    return found + [cls for sub in base.__subclasses__() for cls in _concrete(sub)]


BY_TYPE: dict[str, type[Payload]] = {cls.type: cls for cls in _concrete(Payload)}
