"""What is asked of the score: parameters of an address."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.scoring.domain.periods import Against, Period
from services.scoring.domain.score import Definition, Figure

EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)  # far from the ends of the calendar


class DaysQuery(BaseModel):
    """Every parameter is optional; days are inclusive."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    program: Annotated[str | None, Field(max_length=200)] = None
    from_: Annotated[date | None, Field(alias="from", ge=EARLIEST, le=LATEST)] = None
    to: Annotated[date | None, Field(ge=EARLIEST, le=LATEST)] = None


class PeriodQuery(DaysQuery):
    """Of the API, which refuses what it does not take; the address of a page may hold what a mail program added."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)


class SegmentQuery(PeriodQuery):
    """`segment` is one value of one dimension: `store:Arbat`."""

    segment: Annotated[str | None, Field(max_length=401, pattern=":")] = None


class NpsQuery(SegmentQuery):
    """`by` is a dimension, or two with a comma between them; `after` is the `next` of the page before."""

    by: Annotated[str | None, Field(max_length=401)] = None
    period: Period | None = None
    definition: Definition = Definition.EVERY_ANSWER
    after: Annotated[str | None, Field(max_length=4000)] = None
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100_000

    @field_validator("after")
    @classmethod
    def _is_a_cursor(cls, text: str | None) -> str | None:
        if text is not None:
            _place(text)
        return text

    def page(self, found: Sequence[Figure]) -> tuple[Sequence[Figure], str | None]:
        """Cut what is in order to the page that is wanted; returns it with its `next`."""
        place = _place(self.after) if self.after else []
        rest = [each for each in found if _key(each) > place]
        page = rest[: self.limit]
        return page, _cursor(page[-1]) if len(rest) > len(page) else None


def _key(figure: Figure) -> list[str]:
    return [*figure.values, figure.period or ""]


def _cursor(figure: Figure) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(_key(figure))).decode().rstrip("=")


def _place(cursor: str) -> list[str]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(f"{cursor}=="), type=list[str])
    except (ValueError, msgspec.MsgspecError):
        raise ValueError("the `next` of another page is wanted") from None


class MovesQuery(PeriodQuery):
    """The parts of the whole are compared; those of a segment are not kept day by day, so none is taken."""

    program: Annotated[str, Field(max_length=200)]
    against: Against = "previous"


class SampleQuery(PeriodQuery):
    """`margin` is what may be on either side, in points."""

    margin: Annotated[float, Field(ge=0.5, le=100)]
