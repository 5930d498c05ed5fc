"""A program document: the survey definition as a person writes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.trigger.domain.programs.caps import Cap, CapScope
from services.trigger.domain.programs.conditions import MAX_CONDITIONS, MAX_DEPTH, Condition, count, depth
from services.trigger.domain.programs.field_types import (
    Duration,
    HolidayCalendar,
    Identifier,
    LocaleTag,
    SamplingShare,
    StartingEvent,
    TimeZone,
)
from services.trigger.domain.programs.quotas import Quota
from services.trigger.domain.programs.segments import Segment, default_segments
from services.trigger.domain.programs.wording import WORDING
from shared.contract.events import (
    CALL_RETRIES,
    Brand,
    CallRetry,
    ContactCap,
    ExtraQuestion,
    Id,
    Labels,
    Name,
    Reasons,
    Text,
    Thanks,
    Window,
)
from shared.contract.labels import mistake_in
from shared.contract.vocabulary import ChannelKind, UnansweredCall

NO_ZONE = "UTC"  # the zone of a program that names none; one that means UTC says Etc/UTC


DEFAULT_WINDOWS: Mapping[str, Window] = {
    ChannelKind.EMAIL: Window(start=time(8)),
    ChannelKind.SMS: Window(),
    ChannelKind.CALL: Window(),
}


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
    labels: Labels = {}

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: Labels) -> Labels:
        if mistakes := [found for name, text in labels.items() if (found := mistake_in(name, text))]:
            raise ValueError(f"labels: {mistakes[0]}")
        return labels


class CallRetryDocument(_Document):
    """What follows a call that reached nobody: another `after` a time, none after `limit` such calls."""

    after: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=14))]
    limit: Annotated[int, Field(ge=1, le=20)] | None = None

    @property
    def retry(self) -> CallRetry:
        return CallRetry(after_s=int(self.after.total_seconds()), limit=self.limit)


class StepDocument(_Document):
    """One contact; `after` is the time since the previous one. Without a window it is `DEFAULT_WINDOWS`."""

    channel: ChannelKind
    after: Duration = timedelta()
    template: Id = "default"
    window: Window | None = None
    holidays: HolidayCalendar | None = None
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    retries: dict[UnansweredCall, CallRetryDocument] = {}

    @model_validator(mode="before")
    @classmethod
    def _default_window(cls, given: Any) -> Any:
        window = DEFAULT_WINDOWS.get(given.get("channel", "")) if isinstance(given, dict) else None
        return given if window is None else {"window": window, **given}

    @model_validator(mode="after")
    def _valid_retries(self) -> Self:
        if self.retries and self.channel is not ChannelKind.CALL:
            raise ValueError("retries: only a call has them")
        for outcome, retry in self.retries.items():
            if retry.limit is not None and retry.limit > self.max_attempts:
                raise ValueError(f"retries.{outcome}.limit: more than the {self.max_attempts} of max_attempts")
        return self

    @property
    def all_retries(self) -> dict[UnansweredCall, CallRetryDocument]:
        """The retries of a call, with the defaults of outcomes that it says nothing of."""
        defaults = {
            outcome: CallRetryDocument.model_validate({"after": f"{retry.after_s}s", "limit": retry.limit})
            for outcome, retry in CALL_RETRIES.items()
        }
        return defaults | self.retries


Priority = Annotated[int, Field(strict=True, ge=-1000, le=1000)]


class CallRule(_Document):
    """The priority of calls about events for which the conditions hold; the desk shows its name as the reason."""

    name: Annotated[Name, Field(min_length=1)]
    conditions: Condition
    priority: Priority


class CallOrder(_Document):
    """The priority of a program's calls, higher ones first: that of the first rule that holds, else `priority`."""

    priority: Priority = 0
    rules: Annotated[list[CallRule], Field(max_length=20)] = []


def _default_plan(fields: Mapping[str, Any]) -> list[StepDocument]:
    steps = [("email", "0"), ("email", "3d"), ("sms", "2d"), *([] if fields.get("anonymous") else [("call", "2d")])]
    return [StepDocument.model_validate({"channel": channel, "after": after}) for channel, after in steps]


def _default_quarantine(fields: Mapping[str, Any]) -> timedelta:
    """Default: 90 days; a day less than the cadence for a relational program; none for a follow-up to an answer."""
    cadence: timedelta | None = fields.get("cadence")
    if cadence is not None:
        return max(cadence - timedelta(days=1), timedelta())
    return timedelta() if fields.get("starts_on") == ["survey.answered"] else timedelta(days=90)


class ProgramDocument(_Document):
    """The fields of a document; docs/programs.md describes each.

    A transactional program has `starts_on`, a relational one `cadence`.
    """

    id: Identifier
    title: Name = ""
    active: bool = True
    group: Identifier | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    brand: Brand
    anonymous: bool = False
    starts_on: list[StartingEvent] = []
    cadence: Annotated[Duration, Field(ge=timedelta(days=1))] | None = None
    conditions: Condition | None = None
    sample: SamplingShare = 1
    holdout: SamplingShare = 0
    delay: Duration = timedelta()
    delay_from: DelayFrom = DelayFrom.EVENT
    at: time | None = None
    max_age: Duration = timedelta(days=7)
    quarantine: Duration = Field(default_factory=_default_quarantine)
    caps: Annotated[list[Cap], Field(max_length=20)] = []
    quotas: Annotated[list[Quota], Field(max_length=20)] = []
    assume_consent: list[ChannelKind] = [ChannelKind.EMAIL]
    time_zone: TimeZone = NO_ZONE
    default_locale: LocaleTag = "en"
    fallback: Annotated[dict[LocaleTag, LocaleTag], Field(max_length=50)] = {}
    texts: Annotated[dict[LocaleTag, Texts], Field(min_length=1, max_length=50)] = Field(
        default_factory=lambda: {locale: Texts.model_validate(texts) for locale, texts in WORDING.items()}
    )
    plan: Annotated[list[StepDocument], Field(min_length=1, max_length=20)] = Field(default_factory=_default_plan)
    calls: CallOrder = CallOrder()
    contact_caps: Annotated[list[ContactCap], Field(max_length=20)] = []
    expires_after: Annotated[Duration, Field(gt=timedelta())] = timedelta(days=21)
    segments: Annotated[list[Segment], Field(max_length=50)] = Field(default_factory=default_segments)
    target: Annotated[int, Field(strict=True, ge=-100, le=100)] | None = None
    call_back: bool = Field(default_factory=lambda fields: not fields.get("anonymous", False))

    @field_validator("texts", mode="before")
    @classmethod
    def _with_default_wording(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            locale: {**WORDING.get(str(locale).partition("-")[0], {}), **texts} if isinstance(texts, dict) else texts
            for locale, texts in given.items()
        }

    @model_validator(mode="after")
    def _valid_start(self) -> Self:
        if bool(self.starts_on) == (self.cadence is not None):
            raise ValueError("starts_on: expected either the events it starts on, or a cadence")
        if self.cadence is not None and self.cadence % timedelta(days=1):
            raise ValueError("cadence: expected whole days, such as 90d")
        if self.delay_from is DelayFrom.DELIVERY and "crm.purchase.completed" not in self.starts_on:
            raise ValueError("delay_from: only a purchase is delivered; add crm.purchase.completed to starts_on")
        return self

    @model_validator(mode="after")
    def _valid_for_anonymous_answers(self) -> Self:
        if not self.anonymous:
            return self
        if any(step.channel not in (ChannelKind.EMAIL, ChannelKind.SMS) for step in self.plan):
            raise ValueError(
                "plan: an anonymous survey goes by email or sms; who calls, or shows the link, knows whose answer it is"
            )
        if self.call_back:
            raise ValueError("call_back: an anonymous answer has nobody to call back; leave call_back out")
        if of_customer := [each.name for each in self.segments if not each.field.startswith("touchpoint.")]:
            raise ValueError(f"segments: {of_customer[0]} may tell who answered; use fields of the touchpoint alone")
        return self

    @model_validator(mode="after")
    def _valid_names(self) -> Self:
        for part in ("caps", "quotas", "segments"):
            names = [named.name for named in getattr(self, part)]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{part}: the name {twice[0]} is used twice")
        if self.group is None and any(cap.scope is CapScope.GROUP for cap in self.caps):
            raise ValueError("caps: the scope group needs the program to have a group")
        segments = [segment.name for segment in self.segments]
        if unknown := [quota.by for quota in self.quotas if quota.by and quota.by not in segments]:
            raise ValueError(f"quotas: no segment {', '.join(unknown)}, only {', '.join(segments)}")
        if unknown := sorted(set(self.brand.sms_senders) - set(self.texts)):
            raise ValueError(f"brand: sms_senders: texts has no {', '.join(unknown)}, only {', '.join(self.texts)}")
        if unknown := sorted(set(self.fallback.values()) - set(self.texts) - set(self.fallback)):
            raise ValueError(f"fallback: texts has no {', '.join(unknown)}, only {', '.join(self.texts)}")
        return self

    @model_validator(mode="after")
    def _valid_texts_and_conditions(self) -> Self:
        if self.default_locale not in self.texts:
            raise ValueError(f"default_locale: texts has no {self.default_locale}, only {', '.join(self.texts)}")
        conditions = [("conditions", self.conditions)] if self.conditions is not None else []
        conditions += [(f"calls.rules.{number}", rule.conditions) for number, rule in enumerate(self.calls.rules)]
        for where, condition in conditions:
            if count(condition) > MAX_CONDITIONS:
                raise ValueError(f"{where}: at most {MAX_CONDITIONS} comparisons are allowed")
            if depth(condition) > MAX_DEPTH:
                raise ValueError(f"{where}: at most {MAX_DEPTH} levels of nesting are allowed")
        return self
