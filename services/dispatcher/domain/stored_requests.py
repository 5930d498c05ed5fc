"""How requests are stored: what many invitations share is stored once, by its digest.

That is what a program version says in a locale, and consent and time zone, of which there are few different ones.
The event of a request is an array of its fields; the names would be a third of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import BeforeValidator, create_model

from shared.contract.events import Consent, EventRef, Part, SurveyRequested

_COLUMNS = {"invitation_id", "respondent_id", "expires_at"}  # columns of their own in `invitations`
_SHARED = {
    *("program", "brand", "locale", "question", "reasons", "extra_questions", "thanks", "labels", "call_back"),
    *("plan", "contact_caps", "link_key", "test", "consent", "time_zone"),
}


def _part(name: str, names: set[str], **more: Any) -> type[Part]:
    fields = SurveyRequested.model_fields.items()
    definitions: dict[str, Any] = {each: (field.annotation, field) for each, field in fields if each in names}
    return create_model(name, __base__=Part, **definitions | more)


_Content = _part("_Content", _SHARED)
_EVENT_FIELDS = tuple(EventRef.model_fields)
_event_values = attrgetter(*_EVENT_FIELDS)


def _named(event: Any) -> Any:
    """Return the fields of an event by name; versions before stored them so."""
    return dict(zip(_EVENT_FIELDS, event, strict=False)) if isinstance(event, list) else event


_Own = _part(
    "_Own",
    SurveyRequested.model_fields.keys() - _SHARED - _COLUMNS,
    consent=(Consent | None, None),
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


def split(request: SurveyRequested) -> NewRequest:
    content = request.model_dump_json(include=_SHARED, exclude_none=True)
    named = request.model_dump_json(exclude=_SHARED | _COLUMNS | {"event"}, exclude_none=True)
    own = f'{named[:-1]},"event":{msgspec.json.encode(_event_values(request.event)).decode()}}}'
    return NewRequest(own, content, hashlib.blake2b(content.encode(), digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class RequestReader:
    """Reads stored requests with the contents, as JSON by digest, that they share; each content is read once."""

    contents: Mapping[bytes, str]
    _templates: dict[bytes, SurveyRequested] = field(default_factory=dict, init=False)

    def read(self, stored: StoredRequest) -> SurveyRequested:
        """Return the request; raises ValidationError, and KeyError for a content that is not there."""
        if stored.digest is None:
            return SurveyRequested.model_validate_json(stored.own)
        own = vars(_Own.model_validate_json(stored.own))
        given = own if own["consent"] else {name: value for name, value in own.items() if name != "consent"}
        columns = {name: getattr(stored, name) for name in _COLUMNS}
        # a copy is not validated again: the values are valid already
        return self._template(stored.digest).model_copy(update=given | columns)

    def _template(self, digest: bytes) -> SurveyRequested:
        if digest not in self._templates:
            shared = vars(_Content.model_validate_json(self.contents[digest]))
            self._templates[digest] = SurveyRequested.model_construct(**shared)
        return self._templates[digest]


class SendFacts(msgspec.Struct, frozen=True):
    """What decides whether a leased step is sent, and how many earlier steps may have reached the respondent."""

    stored: StoredRequest
    reader: RequestReader
    suppressed: bool
    sent_before: int

    def request(self) -> SurveyRequested:
        """Read the request; raises if it cannot be read, which must not affect other steps."""
        return self.reader.read(self.stored)
