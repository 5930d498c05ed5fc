"""Reads the records of a file as scores of another survey tool."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from services.scoring.domain.answer_form import score_of
from services.scoring.domain.history import ImportedScore
from services.scoring.files.exports import SEGMENT
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Id, Segments
from shared.messaging.codec import describe_errors
from shared.tables.layout import TableOptions
from shared.tables.records import FileRecord
from shared.tables.values import ROUNDED, Unreadable, is_rounded, moment_of

FIELDS = ("external_id", "score", "answered_at", "customer_id", "comment", "reasons")
MAX_AHEAD = timedelta(days=1)  # explained by a wrong clock or zone; more is a wrong date
_KNOWN = {*FIELDS, "segments"}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_IDS = ("external_id", "customer_id")


class RefusedScore(ValueError):
    """A record is no score; the text says why and quotes no value."""


class Unanswered(Exception):
    """A record of a tool that also lists people who did not answer, or a second line of names."""


def _score(given: object) -> int:
    """Read a whole number, or its digits; nothing else is one: neither true nor 9.0 nor digits of other scripts."""
    score = score_of(given.strip()) if isinstance(given, str) else given
    if type(score) is not int or not 0 <= score <= 10:
        raise ValueError("expected a whole number from 0 to 10")
    return score


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    external_id: Id
    score: Annotated[int, BeforeValidator(_score)]
    customer_id: Id | None = None
    comment: Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")] | None = None
    reasons: Annotated[list[Id], Field(max_length=50)] = []
    segments: Segments = {}


@dataclass(frozen=True, slots=True)
class ScoreReader:
    """`zone` is that of the program: a day without a time is noon there.

    `skips` leaves out records without a score; `identifies` makes ids where a file has none. A customer named by an
    e-mail address gets the pseudonym of the address under `keys`.
    """

    zone: ZoneInfo
    now: datetime
    options: TableOptions = field(default_factory=TableOptions)
    skips: bool = False
    identifies: bool = False
    keys: AddressKeys = field(kw_only=True)

    def read(self, record: FileRecord) -> tuple[ImportedScore, Iterator[str]]:
        """Return the score, and the names of fields that are not used; raises RefusedScore or Unanswered."""
        if record.problem:
            raise RefusedScore(record.problem)
        fields = _from_cells(record.cells) if record.cells is not None else _from_json(record.body)
        if rounded := next((name for name in _IDS if is_rounded(str(fields.get(name) or ""))), None):
            raise RefusedScore(f"{rounded}: {ROUNDED}")
        if self.skips and not str(fields.get("score") or "").strip()[:1].isdigit():
            raise Unanswered
        if self.identifies:
            fields["external_id"] = _identity(fields)
        try:
            found = _Fields.model_validate(fields)
        except ValidationError as error:
            raise RefusedScore(describe_errors(error)) from None
        at = self._at(fields.get("answered_at"))
        score = ImportedScore(
            found.external_id, found.score, at, self._customer(found), found.reasons, found.comment, found.segments
        )
        return score, (name for name in fields if name not in _KNOWN)

    def _customer(self, found: _Fields) -> str | None:
        if found.customer_id is not None and _ADDRESS.fullmatch(found.customer_id):
            return self.keys.pseudonym(found.customer_id)
        return found.customer_id

    def _at(self, given: object) -> datetime:
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise RefusedScore("answered_at: expected a time with a zone, or a day")
        try:
            found = moment_of(str(given), zone=self.options.zone, order=self.options.dates)
        except Unreadable as error:
            raise RefusedScore(f"answered_at: {error}") from None
        moment = found if isinstance(found, datetime) else _noon(found, self.options.zone or self.zone)
        if moment > self.now + MAX_AHEAD:
            raise RefusedScore("answered_at: more than a day in the future; check the clock and the date")
        return moment.astimezone(UTC)


def _noon(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(12), zone)


def _from_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a row, with `segments` as a dict and `reasons` as a list."""
    fields: dict[str, Any] = {name: text for name, text in cells.items() if not name.startswith(SEGMENT)}
    fields["segments"] = {name.removeprefix(SEGMENT): text for name, text in cells.items() if name.startswith(SEGMENT)}
    if "reasons" in fields:
        fields["reasons"] = [each.strip() for each in fields["reasons"].split(";") if each.strip()]
    return fields


def _from_json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedScore("not a JSON object")
    return {name: _text_of(value) if name in _IDS else value for name, value in found.items() if value is not None}


def _text_of(value: object) -> object:
    return str(value) if type(value) is int else value


def _identity(fields: Mapping[str, Any]) -> str:
    """Make an id of a record without one, so that the same record is stored once."""
    named = {name: fields[name] for name in sorted(fields) if name in _KNOWN}
    return "row-" + hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32]
