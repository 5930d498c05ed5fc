"""Query parameters of the scores and answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, ClassVar, Self
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from services.scoring.domain.periods import Against, Days, Period
from services.scoring.domain.score import Definition, Figure
from services.scoring.repository.listing import AnswerFilter
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Id
from shared.contract.vocabulary import AnswerMode, Category, ChannelKind

EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)  # so far from date.min and date.max that sums do not overflow
MOST_WORDS = 200  # characters of a search
Pair = Annotated[str, StringConstraints(pattern=r"^[^:]+:.+$", max_length=420)]


class DaysQuery(BaseModel):
    """Every parameter is optional; days are inclusive."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    program: Annotated[str | None, Field(max_length=200)] = None
    from_: Annotated[date | None, Field(alias="from", ge=EARLIEST, le=LATEST)] = None
    to: Annotated[date | None, Field(ge=EARLIEST, le=LATEST)] = None

    def resolve_days(self, today: date, *, count: int) -> Days:
        """Return the days from `from` to `to`, in either order; by default `count` days that end today."""
        last = self.to or max(today, self.from_ or today)
        first = self.from_ or last - timedelta(days=count - 1)
        return Days(min(first, last), max(first, last))


class PageQuery(DaysQuery):
    """Everything a reader chose on a page, so that an address shows everybody the same view."""

    path: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, parameters: Mapping[str, object]) -> Mapping[str, object]:
        """Ignore empty parameters, as a form sends them for fields left blank."""
        return {name: value for name, value in parameters.items() if value != ""}

    def link(self, **changes: object) -> str:
        """Return the address of this view with some parameters changed; None removes one."""
        parameters = self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | changes
        return f"{self.path}?" + urlencode({name: value for name, value in parameters.items() if value is not None})


class PeriodQuery(DaysQuery):
    """Days for the API, which rejects unknown parameters; pages ignore them, since mail programs add some to links."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.from_ and self.to and self.from_ > self.to:
            raise ValueError("from must not be after to")
        return self


class SegmentQuery(PeriodQuery):
    """`segment` is one value of one dimension: `store:Arbat`."""

    segment: Annotated[str | None, Field(max_length=401, pattern=":")] = None


class NpsQuery(SegmentQuery):
    """`by` is a dimension, or two with a comma between them; `after` is the `next` of the previous page."""

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

    def page(self, figures: Sequence[Figure]) -> tuple[Sequence[Figure], str | None]:
        """Cut sorted figures to the requested page; returns it with its `next`, None at the end."""
        place = _place(self.after) if self.after else []
        rest = [each for each in figures if _key(each) > place]
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
        raise ValueError("must be the `next` of another page") from None


class ChangesQuery(PeriodQuery):
    """Has no `segment`, because buckets do not hold other dimensions within a segment."""

    program: Annotated[str, Field(max_length=200)]
    against: Against = "previous"


class SampleQuery(PeriodQuery):
    """`margin` of error on either side, in points."""

    margin: Annotated[float, Field(ge=0.5, le=100)]


def _cursor_checked(text: str | None) -> str | None:
    """Return a cursor unchanged; raises ValueError if `cursor_of` did not make it."""
    if text is not None and len(base64.urlsafe_b64decode(f"{text}==")) != 16:
        raise ValueError("must be the `next` of another page")
    return text


AnswerCursor = Annotated[str | None, Field(max_length=22), AfterValidator(_cursor_checked)]


class AnswersQuery(PeriodQuery):
    """Days are inclusive; `segment` is `name:value`, may be repeated, and all must hold.

    `words` finds words of comments in any of their forms: all of them, `"a phrase"`, `or`, and `-` before one without.
    """

    category: Category | None = None
    channel: ChannelKind | None = None
    mode: AnswerMode | None = None
    suspect: bool | None = None
    customer: Id | None = None
    invitation: UUID | None = None
    segment: Annotated[list[Pair], Field(max_length=20)] = []
    words: Annotated[str | None, Field(max_length=MOST_WORDS)] = None
    tag: Annotated[str | None, Field(max_length=200)] = None
    quotable: bool | None = None
    after: AnswerCursor = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @field_validator("segment")
    @classmethod
    def _names_each_dimension_once(cls, pairs: list[str]) -> list[str]:
        if len({pair.split(":", 1)[0] for pair in pairs}) < len(pairs):
            raise ValueError("must name each dimension once")
        return pairs

    def filter(self, keys: AddressKeys) -> AnswerFilter:
        return AnswerFilter(
            program=self.program,
            first=self.from_,
            last=self.to,
            category=self.category,
            channel=self.channel,
            mode=self.mode,
            suspect=self.suspect,
            respondents=keys.respondents_like(self.customer) if self.customer else None,
            invitation=self.invitation,
            segments=dict(pair.split(":", 1) for pair in self.segment),
            words=self.words,
            quotable=self.quotable,
            tag=self.tag and self.tag.lower(),
        )


def answer_id_of(cursor: str | None) -> UUID | None:
    return None if cursor is None else UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))


def cursor_of(answer_id: UUID) -> str:
    return base64.urlsafe_b64encode(answer_id.bytes).decode().rstrip("=")
