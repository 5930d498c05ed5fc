"""What is asked of the score: parameters of an address."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.scoring.domain.periods import Against, Period
from services.scoring.domain.score import Definition

EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)  # far from the ends of the calendar


class DaysQuery(BaseModel):
    """Every parameter is optional; days are inclusive."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    program: Annotated[str | None, Field(max_length=200)] = None
    from_: Annotated[date | None, Field(alias="from", ge=EARLIEST, le=LATEST)] = None
    to: Annotated[date | None, Field(ge=EARLIEST, le=LATEST)] = None


class SegmentQuery(DaysQuery):
    """`segment` is one value of one dimension: `store:Arbat`."""

    segment: Annotated[str | None, Field(max_length=401, pattern=":")] = None


class NpsQuery(SegmentQuery):
    """`by` is a dimension, or two with a comma between them."""

    by: Annotated[str | None, Field(max_length=401)] = None
    period: Period | None = None
    definition: Definition = Definition.EVERY_ANSWER


class MovesQuery(DaysQuery):
    program: Annotated[str, Field(max_length=200)]
    against: Against = "previous"


class SampleQuery(DaysQuery):
    """`margin` is what may be on either side, in points."""

    margin: Annotated[float, Field(ge=0.5, le=100)]
