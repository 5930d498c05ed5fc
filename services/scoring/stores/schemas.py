"""Requests and responses of the stores API."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints

from services.scoring.domain.stores.hours import Hours, InvalidHours, day_text, parse_day
from services.scoring.domain.stores.store import MOST_LINKS, MOST_SPELLINGS, InvalidStore, Store, checked
from services.scoring.stores.saving import ImportResult
from shared.web.strict_input import ShortText, StrictInput

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DayHours = Annotated[str, StringConstraints(max_length=200)]
Link = Annotated[str, StringConstraints(max_length=2000)]
_LISTED = 1000  # lines or stores in a response


class StoreIn(StrictInput):
    """`hours` has the times of each weekday, such as `09:00-13:00, 14:00-21:00`; those that are missing are closed.

    An end after midnight is written after 24:00, `18:00-26:00`. A field that is missing is emptied.
    """

    name: ShortText
    spellings: Annotated[list[ShortText], Field(max_length=MOST_SPELLINGS)] = Field(default_factory=list)
    region: ShortText | None = None
    time_zone: ShortText | None = None
    hours: dict[Weekday, DayHours] = Field(default_factory=dict)
    manager: ShortText | None = None
    deputy: ShortText | None = None
    review_links: Annotated[list[Link], Field(max_length=MOST_LINKS)] = Field(default_factory=list)
    closed_since: date | None = None

    def store(self, code: str) -> Store:
        """Build the store; raises InvalidStore."""
        fields = self.model_dump(exclude={"spellings", "review_links", "hours"})
        try:
            openings = {day: parse_day(text) for day, text in self.hours.items()}
        except InvalidHours as error:
            raise InvalidStore("hours", str(error)) from None
        hours: Hours = {str(day): times for day, times in openings.items() if times}
        links = tuple(self.review_links)
        return checked(Store(code, **fields, spellings=tuple(self.spellings), hours=hours, review_links=links))


class StoreOut(BaseModel):
    """`version` is the ETag of the store."""

    code: str
    name: str
    spellings: list[str]
    region: str | None
    time_zone: str | None
    hours: dict[str, str]
    manager: str | None
    deputy: str | None
    review_links: list[str]
    closed_since: date | None
    version: str

    @classmethod
    def of(cls, store: Store) -> Self:
        return cls(
            code=store.code,
            name=store.name,
            spellings=list(store.spellings),
            region=store.region,
            time_zone=store.time_zone,
            hours={day: day_text(openings) for day, openings in store.hours.items()},
            manager=store.manager,
            deputy=store.deputy,
            review_links=list(store.review_links),
            closed_since=store.closed_since,
            version=store.version,
        )


class StoresOut(BaseModel):
    """`unlisted` are names of stores in events that the list lacks."""

    stores: list[StoreOut]
    unlisted: list[str]


class ChangedOut(BaseModel):
    code: str
    fields: list[str]


class BadLineOut(BaseModel):
    line: int
    reason: str


class ImportOut(BaseModel):
    """What an import did, or would do where `stored` is false; lists are cut to 1000 items, counts are not."""

    stored: bool
    added: int
    changed: int
    left: int
    bad: int
    added_codes: list[str]
    changed_stores: list[ChangedOut]
    bad_lines: list[BadLineOut]
    read_as: str
    ignored_columns: list[str]

    @classmethod
    def of(cls, result: ImportResult) -> Self:
        plan = result.plan
        return cls(
            stored=result.stored,
            added=len(plan.added),
            changed=len(plan.changed),
            left=plan.left,
            bad=len(plan.bad),
            added_codes=[store.code for store in plan.added[:_LISTED]],
            changed_stores=[
                ChangedOut(code=each.store.code, fields=list(each.fields)) for each in plan.changed[:_LISTED]
            ],
            bad_lines=[BadLineOut(line=each.line, reason=each.reason) for each in plan.bad[:_LISTED]],
            read_as=result.layout,
            ignored_columns=list(result.ignored[:_LISTED]),
        )
