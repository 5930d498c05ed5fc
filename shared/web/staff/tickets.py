"""Signed tickets of staff: for ten minutes, every service takes a ticket's word for who sends a request.

A ticket is a JSON Web Token (RFC 7519) in a cookie. Scoring signs them from its sessions; a program that has the keys,
such as the demo's shop, signs its own, which belong to no session.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any, Self
from uuid import UUID

from joserfc import jwe, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from shared.contract.staff_scope import WHOLE, StaffScope
from shared.contract.vocabulary import Role

LASTING = timedelta(minutes=10)
RENEWED_AFTER = timedelta(minutes=5)
HALF_LASTS = timedelta(minutes=5)  # of a log-in between its two factors
UNDO_LASTS = timedelta(minutes=10)  # of the offer to undo what somebody has just done
BEGUN_LASTS = timedelta(minutes=10)  # of a log-in while somebody is at the identity provider
CLOCKS_DIFFER = timedelta(minutes=1)  # of the machines that sign and read
_ALGORITHM = "HS256"
_TICKET, _DEVICE = "earshot-ticket+jwt", "earshot-device+jwt"
_HALF, _SET_UP = "earshot-half+jwt", "earshot-set-up+jwt"
_BEGUN, _DONE = "earshot-begun+jwt", "earshot-done+jwt"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who somebody is; times are machine time, and in whole seconds in the cookie."""

    person: UUID
    name: str
    roles: frozenset[Role]
    issued_at: datetime
    session: UUID | None = None  # None: of a program that has the keys
    revision: int = 0  # grows with every change of the person
    is_scoped: bool = False  # the person sees only some programs or stores
    used_at: datetime | None = None  # when a person did something last, before `issued_at`; None: then

    @property
    def last_used(self) -> datetime:
        return self.used_at or self.issued_at

    def is_fresh(self, now: datetime, *, is_background: bool = False) -> bool:
        """Say whether the ticket's word counts for a request, which with `is_background` no person has sent."""
        since = self.issued_at if is_background else self.last_used
        return self.issued_at - CLOCKS_DIFFER <= now < since + LASTING

    def renewed(self, now: datetime, *, is_background: bool) -> Ticket:
        """Return the ticket for who has sent a request, of `now` if it is older than RENEWED_AFTER."""
        if now - (self.issued_at if is_background else self.last_used) <= RENEWED_AFTER:
            return self
        return replace(self, issued_at=now.replace(microsecond=0), used_at=self.last_used if is_background else None)

    def has_any(self, roles: Iterable[Role]) -> bool:
        return not self.roles.isdisjoint(roles)


class InvalidTicket(Exception):
    """The text is no ticket that one of the keys has signed, and nothing that one has sealed."""


@dataclass(frozen=True, slots=True)
class Device:
    """A browser in which somebody logged in before."""

    id: UUID
    person: UUID


@dataclass(frozen=True, slots=True)
class HalfLogIn:
    """A log-in between its two factors.

    `state` is a digest of the account: a half log-in counts only while the account has it. `sets_up` says that the
    account has no second factor and needs one.
    """

    person: UUID
    state: str
    begun_at: datetime
    sets_up: bool = False


@dataclass(frozen=True, slots=True)
class BegunLogIn:
    """A log-in at an identity provider, kept by the browser meanwhile; `target` is the path to go to afterwards."""

    provider: str
    target: str
    state: str
    nonce: str
    verifier: str  # RFC 7636

    @classmethod
    def at(cls, provider: str, *, target: str) -> Self:
        return cls(provider, target, *(secrets.token_urlsafe(32) for _ in range(3)))


class TicketSigner:
    """Signs with the first of the keys, which are secrets by id, and reads what any of them signed."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = [OctKey.import_key(secret, {"kid": id_}) for id_, secret in keys.items()]
        self._known = KeySet(list(self._keys))
        sealing = {id_: hashlib.sha256(f"sealed|{secret}".encode()).digest() for id_, secret in keys.items()}
        self._sealing = KeySet([OctKey.import_key(key, {"kid": id_}) for id_, key in sealing.items()])

    def sign(self, ticket: Ticket) -> str:
        claims = {
            "sub": str(ticket.person),
            "name": ticket.name,
            "roles": sorted(ticket.roles),
            "iat": int(ticket.issued_at.timestamp()),
            "sid": str(ticket.session) if ticket.session else None,
            "rev": ticket.revision,
            "scoped": ticket.is_scoped,
            "used": int(ticket.used_at.timestamp()) if ticket.used_at else None,
        }
        return self._sign(_TICKET, claims)

    def read(self, text: str) -> Ticket:
        """Return a ticket of any age; raises InvalidTicket. A role that this version does not know is left out."""
        try:
            claims = self._read(_TICKET, text)
            used = claims.get("used")
            return Ticket(
                person=UUID(claims["sub"]),
                name=str(claims["name"]),
                roles=frozenset(Role(role) for role in claims["roles"] if role in _ROLES),
                issued_at=datetime.fromtimestamp(claims["iat"], UTC),
                session=UUID(claims["sid"]) if claims["sid"] else None,
                revision=int(claims.get("rev", 0)),  # versions of before signed none
                is_scoped=bool(claims.get("scoped")),
                used_at=datetime.fromtimestamp(used, UTC) if used else None,
            )
        except _UNREADABLE as error:
            raise InvalidTicket from error

    def sign_device(self, device: Device) -> str:
        return self._sign(_DEVICE, {"device": str(device.id), "person": str(device.person)})

    def read_device(self, text: str) -> Device | None:
        """Return which browser this is, None for a text that no key has signed."""
        try:
            claims = self._read(_DEVICE, text)
            return Device(UUID(claims["device"]), UUID(claims["person"]))
        except _UNREADABLE:
            return None

    def sign_half(self, half: HalfLogIn) -> str:
        """Sign that a person has given the first of two factors."""
        claims = {"person": str(half.person), "state": half.state, "iat": int(half.begun_at.timestamp())}
        return self._sign(_SET_UP if half.sets_up else _HALF, claims)

    def read_half(self, text: str, now: datetime, *, sets_up: bool = False) -> HalfLogIn | None:
        """Return a log-in of this kind whose first factor was given within HALF_LASTS."""
        try:
            claims = self._read(_SET_UP if sets_up else _HALF, text)
            begun_at = datetime.fromtimestamp(claims["iat"], UTC)
            half = HalfLogIn(UUID(claims["person"]), str(claims["state"]), begun_at, sets_up)
            return half if timedelta() <= now - begun_at < HALF_LASTS else None
        except _UNREADABLE:
            return None

    def sign_begun(self, begun: BegunLogIn, now: datetime) -> str:
        return self._sign(_BEGUN, {**asdict(begun), "iat": int(now.timestamp())})

    def read_begun(self, text: str, now: datetime) -> BegunLogIn | None:
        """Return a log-in that was begun within BEGUN_LASTS."""
        try:
            claims = self._read(_BEGUN, text)
            begun_at = datetime.fromtimestamp(claims.pop("iat"), UTC)
            return BegunLogIn(**claims) if timedelta() <= now - begun_at < BEGUN_LASTS else None
        except _UNREADABLE:
            return None

    def sign_done(self, person: UUID, packed: str, now: datetime) -> str:
        """Sign what a person has just done."""
        return self._sign(_DONE, {"sub": str(person), "done": packed, "iat": int(now.timestamp())})

    def read_done(self, person: UUID, text: str, now: datetime) -> str | None:
        """Return what this person has done within UNDO_LASTS."""
        try:
            claims = self._read(_DONE, text)
            done_at = datetime.fromtimestamp(claims["iat"], UTC)
            fresh = done_at - CLOCKS_DIFFER <= now < done_at + UNDO_LASTS
            return str(claims["done"]) if fresh and claims["sub"] == str(person) else None
        except _UNREADABLE:
            return None

    def seal(self, text: str) -> str:
        """Encrypt a text that a form brings back, and that a page must not show (RFC 7516)."""
        key = self._sealing.keys[0]
        return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM", "kid": key.kid}, text.encode(), key)

    def unseal(self, sealed: str) -> str:
        """Return the text; raises InvalidTicket."""
        try:
            found = jwe.decrypt_compact(sealed, self._sealing).plaintext
        except _UNREADABLE as error:
            raise InvalidTicket from error
        return (found or b"").decode()

    def _sign(self, kind: str, claims: dict[str, Any]) -> str:
        key = self._keys[0]
        return jwt.encode({"alg": _ALGORITHM, "kid": key.kid, "typ": kind}, claims, key, algorithms=[_ALGORITHM])

    def _read(self, kind: str, text: str) -> dict[str, Any]:
        token = jwt.decode(text, self._known, algorithms=[_ALGORITHM])
        if token.header.get("typ") != kind:  # RFC 8725, 3.11
            raise ValueError(kind)
        return token.claims


_ROLES = frozenset(map(str, Role))
_UNREADABLE = (JoseError, ValueError, KeyError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class StaffCookie:
    """A cookie of staff: with `https`, no other host and no plain connection can set it (`__Host-`, RFC 6265bis).

    Without, it is for this machine only, where browsers differ in whether they take secure cookies.
    """

    label: str
    https: bool

    @property
    def name(self) -> str:
        return f"__Host-{self.label}" if self.https else self.label

    def text_in(self, header: str) -> str | None:
        """Return the cookie's value in a `Cookie` header."""
        named = f"{self.name}="
        pairs = (pair.strip() for pair in header.split(";"))
        return next((pair[len(named) :] for pair in pairs if pair.startswith(named)), None)

    def setting(self, text: str, *, lasting: timedelta | None = None) -> str:
        """Return the `Set-Cookie` header that stores a text, without `lasting` until the browser is closed."""
        cookie: SimpleCookie = SimpleCookie({self.name: text})
        cookie[self.name] |= {"path": "/", "httponly": True, "samesite": "Lax", "secure": self.https}
        if lasting is not None:
            cookie[self.name]["max-age"] = int(lasting.total_seconds())
        return cookie[self.name].OutputString()

    def deletion(self) -> str:
        return self.setting("", lasting=timedelta())


def ticket_cookie(*, https: bool) -> StaffCookie:
    return StaffCookie("earshot", https)


signed_in: ContextVar[Ticket | None] = ContextVar("signed_in", default=None)
"""Who sent the request that this task answers."""

staff_scope: ContextVar[StaffScope] = ContextVar("staff_scope", default=WHOLE)
"""What the person or the key that sent the request may see."""


def person_name() -> str | None:
    """Return the name of the person who sent the request; None for a program, which may speak for somebody."""
    ticket = signed_in.get()
    return ticket.name if ticket is not None and ticket.session is not None else None
