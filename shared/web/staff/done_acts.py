"""What a person of the staff has just done: said on the next page, with a button that undoes it.

The browser keeps the newest act in a signed cookie for UNDO_LASTS. Undoing is a form to a route of its own service,
which refuses it if something else was changed meanwhile.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from shared.languages.marking import mark
from shared.web.problems import Conflict
from shared.web.staff.tickets import UNDO_LASTS, StaffCookie, Ticket, TicketSigner

_MOST_BYTES = 3_500  # of a cookie; browsers keep 4,096 with its name and attributes
REPLACES = "replaces"
"""The field of a form that undoes: what is stored if nothing was changed meanwhile."""


@dataclass(frozen=True, slots=True)
class DoneAct:
    """`said` is shown on `page`; a form to `undo` with `fields` undoes the act. Without `undo`, it cannot be undone."""

    page: str
    said: str
    undo: str = ""
    fields: Sequence[tuple[str, str]] = ()


@dataclass(slots=True)
class _Acts:
    before: DoneAct | None
    now: DoneAct | None = None


_acts: ContextVar[_Acts | None] = ContextVar("done_acts", default=None)


def tell(said: str, *, page: str, undo: str = "", fields: Mapping[str, object] | None = None) -> None:
    """Let the page at this address say what was done, with a button that sends a form to the path `undo`.

    `fields` are those of the form; one that is None is left out, a list is sent as several.
    """
    acts = _acts.get()
    if acts is not None:
        several = {name: value if isinstance(value, list) else [value] for name, value in (fields or {}).items()}
        given = [(name, str(each)) for name, values in several.items() for each in values if each is not None]
        acts.now = DoneAct(urlsplit(page).path, said, undo, given)


def just_done(path: str) -> DoneAct | None:
    """Return what was done by this request, or just before, if the page with this path is to say so."""
    acts = _acts.get()
    if acts is None:
        return None
    return acts.now or (acts.before if acts.before is not None and acts.before.page == path else None)


def refuse_changed(*, expected: str | None, stored: str) -> None:
    """Raise Conflict if a form undoes something that was changed meanwhile; None is of a form that undoes nothing."""
    if expected is not None and expected != stored:
        raise Conflict(
            mark("It was changed meanwhile"), mark("Nothing was undone: look at what holds, and change that.")
        )


def require_act(undo: str, fields: Mapping[str, object]) -> None:
    """Raise Conflict unless this form undoes what the person has just done: for routes that do nothing but undo."""
    acts = _acts.get()
    before = acts.before if acts is not None else None
    sent = {name: str(value) for name, value in fields.items()}
    if before is None or (before.undo, dict(before.fields)) != (undo, sent):
        raise Conflict(mark("Nothing was undone"), mark("Only what you did last can be undone, for ten minutes."))


@dataclass(frozen=True, slots=True)
class DoneActCookie:
    """Keeps the newest act of a person in the browser."""

    signer: TicketSigner
    cookie: StaffCookie

    @contextmanager
    def opened(self, headers: Headers, person: Ticket | None, now: datetime) -> Iterator[None]:
        """Know, within the block, what the person has just done."""
        token = _acts.set(_Acts(self._read(headers, person, now)))
        try:
            yield
        finally:
            _acts.reset(token)

    def setting(self, person: Ticket | None, now: datetime) -> str | None:
        """Return the `Set-Cookie` header after an act that has something to say."""
        acts = _acts.get()
        if acts is None or acts.now is None or person is None:
            return None
        text = self._text(person, acts.now, now)
        if len(text) > _MOST_BYTES:
            text = self._text(person, DoneAct(acts.now.page, acts.now.said), now)
        return self.cookie.setting(text, lasting=UNDO_LASTS)

    def _text(self, person: Ticket, act: DoneAct, now: datetime) -> str:
        packed = zlib.compress(json.dumps(asdict(act), ensure_ascii=False).encode())
        return self.signer.sign_done(person.person, base64.b64encode(packed).decode(), now)

    def _read(self, headers: Headers, person: Ticket | None, now: datetime) -> DoneAct | None:
        text = self.cookie.text_in(headers.get("cookie", ""))
        packed = self.signer.read_done(person.person, text, now) if text and person is not None else None
        return None if packed is None else DoneAct(**json.loads(zlib.decompress(base64.b64decode(packed))))
