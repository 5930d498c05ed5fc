"""A program: a survey definition. Whom, when, what, how often; a document people write and every version is kept."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

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

from services.trigger.domain.conditions import MAX_CONDITIONS, MAX_DEPTH, Check, Condition, compile_check, count, depth
from services.trigger.domain.wording import WORDING
from shared.events import Brand, ExtraQuestion, Id, Name, Reasons, Text, Thanks, Window
from shared.vocabulary import ChannelKind

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


Duration = Annotated[timedelta, BeforeValidator(_read_duration), Field(le=LONGEST), PlainSerializer(_write_duration)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
StartingEvent = Literal["crm.purchase.completed", "crm.service.completed"]


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


class ProgramDocument(_Document):
    """What is written; of several programs the one with the highest priority is tried first."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: Name = ""
    active: bool = True
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    brand: Brand
    starts_on: Annotated[list[StartingEvent], Field(min_length=1)]
    conditions: Condition | None = None
    delay: Duration = timedelta()
    max_age: Duration = timedelta(days=7)
    quarantine: Duration = timedelta(days=90)
    assume_consent: list[ChannelKind] = [ChannelKind.EMAIL]
    time_zone: TimeZone = "UTC"
    default_locale: Locale = "en"
    texts: Annotated[dict[Locale, Texts], Field(min_length=1, max_length=50)] = Field(
        default_factory=lambda: {locale: Texts.model_validate(words) for locale, words in WORDING.items()}
    )
    plan: Annotated[list[Step], Field(min_length=1, max_length=20)] = Field(default_factory=_usual_plan)
    expires_after: Annotated[Duration, Field(gt=timedelta())] = timedelta(days=21)

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
    """One version of a document, ready to decide."""

    version: int
    document: ProgramDocument
    check: Check

    @property
    def id(self) -> str:
        return self.document.id

    def locale_for(self, wanted: str | None) -> str:
        """Choose the locale closest to the wanted one that there are texts for."""
        by_name = {locale.lower(): locale for locale in self.document.texts}
        name = (wanted or "").lower().replace("_", "-")
        while name and name not in by_name:
            name = name.rpartition("-")[0]
        return by_name.get(name, self.document.default_locale)


def ready(version: int, document: ProgramDocument) -> Program:
    always: Check = lambda _fields: None  # noqa: E731 - a function of one expression
    return Program(version, document, compile_check(document.conditions) if document.conditions else always)


def by_priority(programs: Mapping[str, Program]) -> list[Program]:
    """Order active programs as they are tried."""
    active = (program for program in programs.values() if program.document.active)
    return sorted(active, key=lambda program: (-program.document.priority, program.id))
