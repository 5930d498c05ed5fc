"""What a person of the staff has just done: said on the next page, with a button that undoes it.

The browser keeps the newest act in a signed cookie for UNDO_LASTS; once another page is opened, no page says it again.
Undoing is a form to a route of its own service, which refuses it if something else was changed meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Message, Scope

from shared.languages.current import gettext
from shared.languages.formats import quoted
from shared.languages.marking import mark
from shared.web.audit.acts import note_unchanged
from shared.web.problems import Conflict
from shared.web.staff.tickets import UNDO_LASTS, StaffCookie, Ticket, TicketSigner

UNCHANGED = mark("Nothing was changed: it was so already.")
_MOST_BYTES = 3_500  # of a cookie; browsers keep 4,096 with its name and attributes
_INNER_QUOTES = str.maketrans("«»“”", "„“‘’")  # noqa: RUF001 - quotation marks
_UNDOES = "undoes="  # the query of a form that undoes, which no route sees
REPLACES = "replaces"
"""The field of a form that undoes: what is stored if nothing was changed meanwhile."""


@dataclass(frozen=True, slots=True)
class DoneAct:
    """`said` is shown on `page`; a form to `undo` with `fields` undoes the act. Without `undo`, it cannot be undone.

    With `undoes` the act itself undid another, and undoing it does that again. `page` "" is none.
    """

    page: str
    said: str
    undo: str = ""
    fields: Sequence[tuple[str, str]] = ()
    undoes: bool = False

    @property
    def action(self) -> str:
        """Where the form is sent, with a query that names the act."""
        return self.undo if self.undoes else f"{self.undo}?{_UNDOES}{self._digest}"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(json.dumps([self.said, self.undo, self.fields]).encode()).hexdigest()[:16]

    def is_undone_by(self, scope: Scope) -> bool:
        query: str = scope["query_string"].decode("latin-1")
        return scope["method"] == "POST" and query == f"{_UNDOES}{self._digest}"


@dataclass(slots=True)
class _Acts:
    """The act before this request, the act of this request, and whether this one undoes the one before."""

    before: DoneAct | None
    undoes: bool
    now: DoneAct | None = None


_acts: ContextVar[_Acts | None] = ContextVar("done_acts", default=None)


def tell(said: str, *, page: str, undo: str = "", fields: Mapping[str, object] | None = None) -> None:
    """Let the page at this address say what was done, with a button that sends a form to the path `undo`.

    `fields` are those of the form; one that is None is left out, a list is sent as several. If the present act undoes
    another and can be undone, the page says what was undone instead.
    """
    acts = _acts.get()
    if acts is not None:
        undoes = acts.undoes and bool(undo)
        if undoes and acts.before is not None:
            said = gettext("Undone: %(said)s", said=quoted(acts.before.said.translate(_INNER_QUOTES)))
        several = {name: value if isinstance(value, list) else [value] for name, value in (fields or {}).items()}
        given = [(name, str(each)) for name, values in several.items() for each in values if each is not None]
        acts.now = DoneAct(urlsplit(page).path, said, undo, given, undoes)


def tell_unchanged(*, page: str) -> None:
    """Let the page and the audit log say that this request changed nothing, as what it asks for was so already."""
    note_unchanged()
    tell(gettext(UNCHANGED), page=page)


def just_done(path: str) -> DoneAct | None:
    """Return what was done by this request, or just before, if the page with this path is to say so."""
    acts = _acts.get()
    if acts is None:
        return None
    return acts.now or (acts.before if acts.before is not None and acts.before.page == path else None)


def hold_to(page: str, *, stored: str) -> None:
    """Let this page not say what was done if its undoing would be refused, as something else is stored by now."""
    acts = _acts.get()
    if acts is not None and acts.before is not None and acts.before.page == page:
        expected = dict(acts.before.fields).get(REPLACES, stored)
        acts.before = acts.before if expected == stored else replace(acts.before, page="")


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
    def opened(self, scope: Scope, person: Ticket | None, now: datetime) -> Iterator[Scope]:
        """Know, within the block, what the person has just done; yields the request without the mark of its form."""
        before = self._read(Headers(scope=scope), person, now)
        token = _acts.set(_Acts(before, undoes=before is not None and before.is_undone_by(scope)))
        is_marked = scope["query_string"].startswith(_UNDOES.encode())
        try:
            yield {**scope, "query_string": b""} if is_marked else scope
        finally:
            _acts.reset(token)

    def setting(self, scope: Scope, response: Message, person: Ticket, now: datetime) -> str | None:
        """Return the `Set-Cookie` header after an act that has something to say, or whose page is left."""
        acts = _acts.get()
        if acts is None or (act := acts.now or _left(acts.before, scope, response)) is None:
            return None
        text = self._text(person, act, now)
        if len(text) > _MOST_BYTES:
            text = self._text(person, DoneAct(act.page, act.said), now)
        return self.cookie.setting(text, lasting=UNDO_LASTS)

    def _text(self, person: Ticket, act: DoneAct, now: datetime) -> str:
        packed = zlib.compress(json.dumps(asdict(act), ensure_ascii=False).encode())
        return self.signer.sign_done(person.person, base64.b64encode(packed).decode(), now)

    def _read(self, headers: Headers, person: Ticket | None, now: datetime) -> DoneAct | None:
        text = self.cookie.text_in(headers.get("cookie", ""))
        packed = self.signer.read_done(person.person, text, now) if text and person is not None else None
        return None if packed is None else DoneAct(**json.loads(zlib.decompress(base64.b64decode(packed))))


def _left(act: DoneAct | None, scope: Scope, response: Message) -> DoneAct | None:
    """Return an act as one that no page says, if its page is left by this request."""
    if act is None or act.page in ("", scope["path"]) or not _is_opened(scope, response):
        return None
    return replace(act, page="")


def _is_opened(scope: Scope, response: Message) -> bool:
    """Whether the person opens a page, rather than a script, a frame or a file."""
    is_page = Headers(raw=response["headers"]).get("content-type", "").startswith("text/html")
    is_document = Headers(scope=scope).get("sec-fetch-dest", "document") == "document"
    return scope["method"] == "GET" and response["status"] == HTTPStatus.OK and is_page and is_document
