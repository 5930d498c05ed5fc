"""Quotas: the most surveys per day, of a program or of each value of one of its segments."""

from __future__ import annotations

from datetime import date
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.events import Id


class Quota(BaseModel):
    """`by` names a segment of the program; a survey counts on the day it is decided, in the program's time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Id
    limit: Annotated[int, Field(strict=True, ge=0, le=10_000_000)]
    by: Id | None = None


class QuotaKey(NamedTuple):
    """The key of one counter; `value` is empty if the quota has no `by`, or the event has no value for the segment."""

    program_id: str
    name: str
    value: str
    day: date
