"""Quotas: at most so many surveys a day, of a program or of each value of one of its segments."""

from __future__ import annotations

from datetime import date
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.events import Id


class Quota(BaseModel):
    """`by` names a segment of the program; the day is that of the decision in the program's zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Id
    limit: Annotated[int, Field(strict=True, ge=0, le=10_000_000)]
    by: Id | None = None


class QuotaKey(NamedTuple):
    """One counter; the value is empty where the quota is for all, or the event says none."""

    program_id: str
    name: str
    value: str
    day: date
