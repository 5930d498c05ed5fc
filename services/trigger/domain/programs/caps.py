"""Asking caps: how long to leave a respondent alone after something happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.trigger.domain.respondents import ANY_PROGRAM, ContactCause, Respondent
from shared.contract.events import Id


class CapScope(StrEnum):
    """Whose invitations, answers and declines count: every program's, this one's, or its group's."""

    ALL = "all"
    PROGRAM = "program"
    GROUP = "group"


class Cap(BaseModel):
    """For `days` after a cause, `skip` the customer or `delay` the survey until the days are over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Id
    scope: CapScope = CapScope.ALL
    after: ContactCause = ContactCause.INVITATION
    days: Annotated[int, Field(strict=True, ge=1, le=3650)]
    then: Literal["skip", "delay"] = "skip"


def last_of(respondent: Respondent, cause: ContactCause, *, counts: Callable[[str], bool]) -> datetime | None:
    """Find when the cause last happened in a program that counts; what is for no program counts for each."""
    known = respondent.last_contacts.get(cause)
    if not known:
        return None
    return max((at for program, at in known.items() if program == ANY_PROGRAM or counts(program)), default=None)


def ends_at(cap: Cap, respondent: Respondent, *, counts: Callable[[str], bool]) -> datetime | None:
    last = last_of(respondent, cap.after, counts=counts)
    return None if last is None else last + timedelta(days=cap.days)
