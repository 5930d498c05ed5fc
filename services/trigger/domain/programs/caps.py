"""Caps: how many days after a contact a respondent must not be asked again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.trigger.domain.respondents import ANY_PROGRAM, ContactCause, LastContacts
from shared.contract.events import Id


class CapScope(StrEnum):
    """The programs whose contacts count: all, this one, or those of its group."""

    ALL = "all"
    PROGRAM = "program"
    GROUP = "group"


class Cap(BaseModel):
    """For `days` after a contact, `skip` the survey, or `delay` it until those days are over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Id
    scope: CapScope = CapScope.ALL
    after: ContactCause = ContactCause.INVITATION
    days: Annotated[int, Field(strict=True, ge=1, le=3650)]
    then: Literal["skip", "delay"] = "skip"


def last_of(last_contacts: LastContacts, cause: ContactCause, *, counts: Callable[[str], bool]) -> datetime | None:
    """Return the time of the last contact with this cause, of no program or of one for which `counts` returns true."""
    known = last_contacts.get(cause)
    if not known:
        return None
    return max((at for program, at in known.items() if program == ANY_PROGRAM or counts(program)), default=None)


def ends_at(cap: Cap, last_contacts: LastContacts, *, counts: Callable[[str], bool]) -> datetime | None:
    last = last_of(last_contacts, cap.after, counts=counts)
    return None if last is None else last + timedelta(days=cap.days)
