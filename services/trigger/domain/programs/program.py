"""A program: a survey definition. Whom, when, what, how often; a document people write and every version is kept."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import holidays
import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    field_validator,
    model_validator,
)

from services.trigger.domain.programs.caps import Cap, Scope
from services.trigger.domain.programs.conditions import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    Check,
    Condition,
    compile_check,
    count,
    depth,
    fields_in,
)
from services.trigger.domain.programs.quotas import Quota
from services.trigger.domain.programs.segments import Segment, usual_segments
from services.trigger.domain.programs.wording import WORDING
from services.trigger.domain.touchpoints import CadenceDue, TriggerPayload, is_completion
from shared.contract.events import (
    AnswerPayload,
    Brand,
    ContactCap,
    ExtraQuestion,
    Id,
    Name,
    OrderDelivered,
    PlanStep,
    ProgramRef,
    PurchaseCompleted,
    Reasons,
    Text,
    Thanks,
    Window,
)
from shared.contract.vocabulary import ChannelKind

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_ZONES = frozenset(zoneinfo.available_timezones())
LONGEST = timedelta(days=3650)


def _read_duration(given: object) -> object:
    found = re.fullmatch(r"(\d{1,9}) *([wdhms])", given.strip()) if isinstance(given, str) else None
    if found is None and given not in (0, "0"):
        raise ValueError("a number and a unit are wanted, such as 90m, 2h, 3d or 2w")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]] if found else 0)


def _write_duration(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    return next(f"{seconds // size}{unit}" for unit, size in _UNITS.items() if unit != "w" and seconds % size == 0)


def _known_zone(zone: str) -> str:
    if zone not in _ZONES:
        raise ValueError("no such time zone; names look like Europe/Moscow")
    return zone


def _known_calendar(name: str) -> str:
    country, _, subdivision = name.partition("-")
    known = holidays.list_supported_countries()
    if country not in known or (subdivision and subdivision not in known[country]):
        raise ValueError(
            "a country whose holidays are known is wanted, such as RU or DE, or a part of one, as in US-CA"
        )
    return name


def _read_share(given: object) -> object:
    if isinstance(given, str) and (found := re.fullmatch(r"(\d{1,3}(?:\.\d+)?) *%", given.strip())):
        return float(found[1]) / 100
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError("a share is wanted, such as 25% or 0.25")  # noqa: TRY004 - pydantic reads ValueError
    return given


Share = Annotated[float, BeforeValidator(_read_share), Field(ge=0, le=1)]
Duration = Annotated[timedelta, BeforeValidator(_read_duration), Field(le=LONGEST), PlainSerializer(_write_duration)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
StartingEvent = Literal["crm.purchase.completed", "crm.service.completed", "survey.answered"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class DelayFrom(StrEnum):
    EVENT = "event"
    DELIVERY = "delivery"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Texts(_Document):
    question: Annotated[Text, Field(min_length=1)]
    reasons: Reasons = Reasons()
    extra_questions: Annotated[list[ExtraQuestion], Field(max_length=2)] = []
    thanks: Thanks = Thanks()


class Step(_Document):
    """One contact, `after` so much time since the step before; SMS and calls keep to 09:00-21:00 unless told."""

    channel: ChannelKind
    after: Duration = timedelta()
    template: Id = "default"
    window: Window | None = None
    holidays: Annotated[Id, AfterValidator(_known_calendar)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3

    @model_validator(mode="before")
    @classmethod
    def _decent_hours(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("channel") in (ChannelKind.SMS, ChannelKind.CALL):
            return {"window": {}, **given}
        return given


def _usual_plan() -> list[Step]:
    usual = [("email", "0"), ("email", "3d"), ("sms", "2d"), ("call", "2d")]
    return [Step.model_validate({"channel": channel, "after": after}) for channel, after in usual]


def _usual_quarantine(given: Mapping[str, Any]) -> timedelta:
    """Rest 90 days; a relational program a day less than its cadence; a follow-up comes right after an answer."""
    cadence: timedelta | None = given.get("cadence")
    if cadence is not None:
        return max(cadence - timedelta(days=1), timedelta())
    return timedelta() if given.get("starts_on") == ["survey.answered"] else timedelta(days=90)


class ProgramDocument(_Document):
    """What is written; of several programs the one with the highest priority is tried first.

    Transactional ones name what they start on, relational ones a cadence.
    """

    id: Identifier
    title: Name = ""
    active: bool = True
    group: Identifier | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    brand: Brand
    starts_on: list[StartingEvent] = []
    cadence: Annotated[Duration, Field(ge=timedelta(days=1))] | None = None
    conditions: Condition | None = None
    sample: Share = 1
    holdout: Share = 0
    delay: Duration = timedelta()
    delay_from: DelayFrom = DelayFrom.EVENT
    at: time | None = None
    max_age: Duration = timedelta(days=7)
    quarantine: Duration = Field(default_factory=_usual_quarantine)
    caps: Annotated[list[Cap], Field(max_length=20)] = []
    quotas: Annotated[list[Quota], Field(max_length=20)] = []
    assume_consent: list[ChannelKind] = [ChannelKind.EMAIL]
    time_zone: TimeZone = "UTC"
    default_locale: Locale = "en"
    fallback: Annotated[dict[Locale, Locale], Field(max_length=50)] = {}
    texts: Annotated[dict[Locale, Texts], Field(min_length=1, max_length=50)] = Field(
        default_factory=lambda: {locale: Texts.model_validate(words) for locale, words in WORDING.items()}
    )
    plan: Annotated[list[Step], Field(min_length=1, max_length=20)] = Field(default_factory=_usual_plan)
    contact_caps: Annotated[list[ContactCap], Field(max_length=20)] = []
    expires_after: Annotated[Duration, Field(gt=timedelta())] = timedelta(days=21)
    segments: Annotated[list[Segment], Field(max_length=50)] = Field(default_factory=usual_segments)
    target: Annotated[int, Field(strict=True, ge=-100, le=100)] | None = None
    call_back: bool = True

    @field_validator("texts", mode="before")
    @classmethod
    def _with_our_wording(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            locale: {**WORDING.get(str(locale).partition("-")[0], {}), **texts} if isinstance(texts, dict) else texts
            for locale, texts in given.items()
        }

    @model_validator(mode="after")
    def _starts_somehow(self) -> Self:
        if bool(self.starts_on) == (self.cadence is not None):
            raise ValueError("starts_on: name the events it starts on, or give a cadence, one of the two")
        if self.cadence is not None and self.cadence % timedelta(days=1):
            raise ValueError("cadence: whole days are wanted, such as 90d")
        if self.delay_from is DelayFrom.DELIVERY and "crm.purchase.completed" not in self.starts_on:
            raise ValueError("delay_from: only a purchase is delivered; add crm.purchase.completed to starts_on")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for part in ("caps", "quotas", "segments"):
            names = [named.name for named in getattr(self, part)]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{part}: the name {twice[0]} is used twice")
        if self.group is None and any(cap.scope is Scope.GROUP for cap in self.caps):
            raise ValueError("caps: scope group wants the program to have a group")
        segments = [segment.name for segment in self.segments]
        if unknown := [quota.by for quota in self.quotas if quota.by and quota.by not in segments]:
            raise ValueError(f"quotas: no segment {', '.join(unknown)}, only {', '.join(segments)}")
        if unknown := sorted(set(self.fallback.values()) - set(self.texts) - set(self.fallback)):
            raise ValueError(f"fallback: texts has no {', '.join(unknown)}, only {', '.join(self.texts)}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default_locale not in self.texts:
            raise ValueError(f"default_locale: texts has no {self.default_locale}, only {', '.join(self.texts)}")
        if self.conditions is not None and count(self.conditions) > MAX_CONDITIONS:
            raise ValueError(f"conditions: at most {MAX_CONDITIONS} are taken")
        if self.conditions is not None and depth(self.conditions) > MAX_DEPTH:
            raise ValueError(f"conditions: nested at most {MAX_DEPTH} deep")
        return self


@dataclass(frozen=True, slots=True)
class Program:
    """One version of a document, ready to decide.

    `wanted` are the fields its conditions look for, `channels` those of the steps of its plan, each once; `written`
    keeps by locale what all its requests have in common, see `requests.request_json`.
    """

    ref: ProgramRef
    document: ProgramDocument
    check: Check
    wanted: frozenset[str]
    plan: Sequence[PlanStep]
    channels: Sequence[ChannelKind]
    written: dict[str, Mapping[str, msgspec.Raw]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def id(self) -> str:
        return self.ref.id

    @property
    def version(self) -> int:
        return self.ref.version

    @property
    def follows_answers(self) -> bool:
        return "survey.answered" in self.document.starts_on

    def waits_for_delivery(self, payload: TriggerPayload) -> bool:
        return self.document.delay_from is DelayFrom.DELIVERY and type(payload) in (PurchaseCompleted, OrderDelivered)

    def starts_on(self, payload: TriggerPayload) -> bool:
        """Say whether this event is one to try this program for."""
        if is_completion(payload):
            return payload.type in self.document.starts_on
        match payload:
            case CadenceDue():
                return payload.program_id == self.id
            case OrderDelivered():
                return self.waits_for_delivery(payload)
            case AnswerPayload():
                return self.follows_answers
        return False

    def locale_for(self, wanted: str | None) -> str:
        """Choose the locale closest to the wanted one that there are texts for, then by the declared fallback."""
        by_name = {locale.lower(): locale for locale in self.document.texts}
        instead = {locale.lower(): other.lower() for locale, other in self.document.fallback.items()}
        name = (wanted or "").lower().replace("_", "-")
        while name and name not in by_name:
            name = instead.pop(name, "") or name.rpartition("-")[0]  # popped, so that no circle is gone round twice
        return by_name.get(name, self.document.default_locale)


def ready(version: int, document: ProgramDocument) -> Program:
    plan, ref = _plan(document), ProgramRef(id=document.id, version=version, title=document.title)
    channels = list(dict.fromkeys(step.channel for step in plan))
    if document.conditions is None:
        return Program(ref, document, lambda _fields: None, frozenset(), plan, channels)
    check, wanted = compile_check(document.conditions), fields_in(document.conditions)
    return Program(ref, document, check, wanted, plan, channels)


def _plan(document: ProgramDocument) -> list[PlanStep]:
    return [
        PlanStep(
            step=number,
            channel=step.channel,
            delay_s=int(step.after.total_seconds()),
            template=step.template,
            window=step.window,
            holidays=step.holidays,
            max_attempts=step.max_attempts,
        )
        for number, step in enumerate(document.plan, start=1)
    ]


def by_priority(programs: Mapping[str, Program]) -> list[Program]:
    """Order active programs as they are tried."""
    active = (program for program in programs.values() if program.document.active)
    return sorted(active, key=lambda program: (-program.document.priority, program.id))
