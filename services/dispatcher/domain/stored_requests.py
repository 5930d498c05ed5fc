"""How requests are stored: what many invitations share is stored once, by its digest.

That is what a program version says in a locale, and consent, time zone, kind of event, priority of the call, and how
long a survey may be answered, of which there are few different ones. The event of a request is an array of its
fields; the names would be a third of it. The customer's id is left out if it is the respondent's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from pydantic import BeforeValidator, ValidationInfo, create_model

from shared.contract.events import Consent, EventRef, Instant, Part, SurveyRequested

_SECOND = timedelta(seconds=1)
_COLUMNS = {"invitation_id", "respondent_id", "expires_at"}  # columns of their own in `invitations`
_SHARED = {
    *("program", "brand", "locale", "question", "reasons", "extra_questions", "thanks", "labels", "call_back"),
    *("anonymous", "plan", "contact_caps", "link_key", "test", "consent", "assumed", "offers", "time_zone"),
    "call_priority",
}


def _part(name: str, names: set[str], **more: Any) -> type[Part]:
    fields = SurveyRequested.model_fields.items()
    definitions: dict[str, Any] = {each: (field.annotation, field) for each, field in fields if each in names}
    return create_model(name, __base__=Part, **definitions | more)


_EVENT_FIELDS = tuple(EventRef.model_fields)
_KIND_FIELDS = ("source", "type", "currency")
_OWN_EVENT_FIELDS = tuple(name for name in _EVENT_FIELDS if name not in _KIND_FIELDS)
_event_values, _own_event_values = attrgetter(*_EVENT_FIELDS), attrgetter(*_OWN_EVENT_FIELDS)
_Content = _part("_Content", _SHARED, event=(dict[str, str], {}), lifetime_s=(int, 0))


def _named(event: Any, reading: ValidationInfo) -> Any:
    """Return the fields of an event by name; those it lacks are in the content, which is the context of reading.

    Versions before stored them by name, or all in an array.
    """
    if not isinstance(event, list):
        return event
    if len(event) == len(_OWN_EVENT_FIELDS):
        return {**(reading.context or {}), **dict(zip(_OWN_EVENT_FIELDS, event, strict=True))}
    return dict(zip(_EVENT_FIELDS, event, strict=False))


_Own = _part(
    "_Own",
    SurveyRequested.model_fields.keys() - _SHARED - _COLUMNS,
    consent=(Consent | None, None),
    customer_id=(str | None, None),
    send_at=(Instant | None, None),
    event=(Annotated[EventRef, BeforeValidator(_named)], ...),
)


class NewRequest(msgspec.Struct, frozen=True):
    """A request in two parts, each as JSON; `digest` has 16 bytes and identifies the content."""

    own: str
    content: str
    digest: bytes


class StoredRequest(msgspec.Struct, frozen=True):
    """A request as stored. A consent that was changed since is in `own`, and replaces the one of the content.

    Without a digest, `own` is the whole request, as versions before stored it.
    """

    invitation_id: UUID
    respondent_id: str
    expires_at: datetime
    own: str
    digest: bytes | None


def split(request: SurveyRequested, *, compact: bool = True) -> NewRequest:
    """Divide a request; without `compact`, in such a way that the version before can read it."""
    content = request.model_dump_json(include=_SHARED, exclude_none=True)
    left_out = _SHARED | _COLUMNS | {"event"}
    if compact:
        event = {name: value for name in _KIND_FIELDS if (value := getattr(request.event, name)) is not None}
        lifetime = request.expires_at - request.send_at
        more = {"event": event} | ({} if lifetime % _SECOND else {"lifetime_s": lifetime // _SECOND})
        content = f"{content[:-1]},{msgspec.json.encode(more).decode()[1:]}"
        left_out |= {"customer_id"} if request.customer_id == request.respondent_id else set()
        left_out |= {"send_at"} if "lifetime_s" in more else set()
    named = request.model_dump_json(exclude=left_out, exclude_none=True)
    values = (_own_event_values if compact else _event_values)(request.event)
    own = f'{named[:-1]},"event":{msgspec.json.encode(values).decode()}}}'
    return NewRequest(own, content, hashlib.blake2b(content.encode(), digest_size=16).digest())


class _ReadContent(NamedTuple):
    """`event` has the values of the kind of event, and `lifetime` is from sending to expiry."""

    template: SurveyRequested
    event: Mapping[str, Any]
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class RequestReader:
    """Reads stored requests with the contents, as JSON by digest, that they share; each content is read once."""

    contents: Mapping[bytes, str]
    _read: dict[bytes, _ReadContent] = field(default_factory=dict, init=False)

    def read(self, stored: StoredRequest) -> SurveyRequested:
        """Return the request; raises ValidationError, and KeyError for a content that is not there."""
        if stored.digest is None:
            return SurveyRequested.model_validate_json(stored.own)
        content = self._content(stored.digest)
        own = vars(_Own.model_validate_json(stored.own, context=content.event))
        values = own | {name: getattr(stored, name) for name in _COLUMNS}
        if values["consent"] is None:
            del values["consent"]
        if values["customer_id"] is None:
            values["customer_id"] = stored.respondent_id
        if values["send_at"] is None:
            values["send_at"] = stored.expires_at - content.lifetime
        # a copy is not validated again: the values are valid already
        return content.template.model_copy(update=values)

    def _content(self, digest: bytes) -> _ReadContent:
        if digest not in self._read:
            shared = dict(vars(_Content.model_validate_json(self.contents[digest])))
            event, lifetime = shared.pop("event"), timedelta(seconds=shared.pop("lifetime_s"))
            self._read[digest] = _ReadContent(SurveyRequested.model_construct(**shared), event, lifetime)
        return self._read[digest]


class SendFacts(msgspec.Struct, frozen=True):
    """What decides whether a leased step is sent, and how many earlier steps may have reached the respondent.

    `stopped` is the program, if it is stopped.
    """

    stored: StoredRequest
    reader: RequestReader
    suppressed: bool
    sent_before: int
    stopped: str | None = None

    def request(self) -> SurveyRequested:
        """Read the request; raises if it cannot be read, which must not affect other steps."""
        return self.reader.read(self.stored)
