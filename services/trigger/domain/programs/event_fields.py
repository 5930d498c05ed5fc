"""The fields of an event, its customer and their history that conditions and segments may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import TriggerPayload, is_answer
from shared.contract.events import AnswerPayload
from shared.contract.vocabulary import AnswerMode

FieldValue = str | bool | int | float | Decimal | tuple[str, ...] | None
Fields = Mapping[str, FieldValue]

TOUCHPOINT_FIELDS = ("store", "region", "channel", "employee", "device", "stage")
OPEN_FIELDS = ("attributes.", "customer.attributes.")


@dataclass(slots=True)
class EventFields(Mapping[str, FieldValue]):
    """Every field of one event by its name; a field is read only when it is looked up."""

    payload: TriggerPayload
    source: str
    respondent: Respondent
    now: datetime

    def __getitem__(self, name: str) -> FieldValue:
        if read := _READERS.get(name):
            return read(self)
        return self._attributes()[name]

    def get(self, name: str, default: Any = None) -> Any:
        return read(self) if (read := _READERS.get(name)) else self._attributes().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter((*_READERS, *self._attributes()))

    def __len__(self) -> int:
        return len(_READERS) + len(self._attributes())

    def _attributes(self) -> dict[str, FieldValue]:
        of_event = {f"attributes.{name}": value for name, value in getattr(self.payload, "attributes", {}).items()}
        return of_event | {f"customer.attributes.{name}": value for name, value in self.respondent.attributes.items()}


_FieldReader = Callable[[EventFields], FieldValue]


def _days_since(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max((now - moment).days, 0)


def _part(part: str, name: str) -> _FieldReader:
    return lambda fields: getattr(getattr(fields.payload, part, None), name, None)


def _answer(read: Callable[[AnswerPayload], FieldValue]) -> _FieldReader:
    return lambda fields: read(fields.payload) if is_answer(fields.payload) else None


def _days(name: str) -> _FieldReader:
    return lambda fields: _days_since(getattr(fields.respondent, name), fields.now)


_TEXTS: Mapping[str, _FieldReader] = {
    "event.type": lambda fields: fields.payload.type,
    "event.source": lambda fields: fields.source,
    "order.currency": _part("order", "currency"),
    "service.kind": _part("service", "kind"),
    **{f"touchpoint.{name}": _part("touchpoint", name) for name in TOUCHPOINT_FIELDS},
    "customer.locale": lambda fields: fields.respondent.locale,
    "customer.time_zone": lambda fields: fields.respondent.time_zone,
    "history.last_category": lambda fields: fields.respondent.last_category,
    "answer.program": _answer(lambda answer: answer.program.id),
    "answer.category": _answer(lambda answer: answer.category.value),
    "answer.reasons": _answer(lambda answer: tuple(answer.reasons)),
    "answer.mode": _answer(lambda answer: AnswerMode(answer.mode).value),
}
_NUMBERS: Mapping[str, _FieldReader] = {
    "order.amount": _part("order", "amount"),
    "history.purchases": lambda fields: fields.respondent.purchases,
    "history.days_since_first_purchase": _days("first_purchase_at"),
    "history.days_since_purchase": _days("last_purchase_at"),
    "history.days_since_asked": _days("last_asked_at"),
    "history.days_since_answered": _days("last_answered_at"),
    "history.last_score": lambda fields: fields.respondent.last_score,
    "answer.score": _answer(lambda answer: answer.score),
}
_BOOLEANS: Mapping[str, _FieldReader] = {"answer.commented": _answer(lambda answer: bool(answer.comment))}
_READERS = {**_TEXTS, **_NUMBERS, **_BOOLEANS}
FIELDS = tuple(sorted(_READERS))


def known_field(field: str) -> str:
    """Return the field's name; raises ValueError when there is no such field."""
    if field in FIELDS or any(field.startswith(start) and len(field) > len(start) for start in OPEN_FIELDS):
        return field
    if likely := get_close_matches(field, FIELDS, n=1):
        raise ValueError(f"no such field; did you mean {likely[0]}?")
    raise ValueError(f"no such field; there are {', '.join(FIELDS)} and {', '.join(f'{s}<name>' for s in OPEN_FIELDS)}")


def expected_types(field: str) -> tuple[tuple[type, ...], str]:
    """Return the types a field's values can have, none for an attribute, and the error text for other types."""
    if field in _TEXTS:
        return (str,), "is text: put it in quotes"
    if field in _NUMBERS:
        return (int, float), "is a number: write it without quotes"
    return ((bool,), "is true or false") if field in _BOOLEANS else ((), "")
