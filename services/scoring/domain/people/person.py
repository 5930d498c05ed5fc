"""Who may log in: a person of the staff, with the roles that open pages."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.scoring.domain.people.lookalikes import look_of
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.domain.stores.store import Store
from shared.contract.vocabulary import EMPLOYEE_CODE, Role
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.mail_address import mail_address

MOST_CODES = 20
LONGEST = 100  # characters of a login and of a name
_LOGIN = re.compile(r"[^\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Person:
    """`login` is what the person types, the same in every spelling that `folded` makes equal."""

    id: UUID
    login: str
    name: str
    roles: frozenset[Role]
    has_password: bool = False
    is_off: bool = False
    has_codes: bool = False  # a second factor
    scope: PersonScope = EVERYTHING
    revision: int = 0  # grows with every change that others have to hear of
    issuer: str = ""  # of the identity provider by which the person logs in; "": with a password of here
    email: str = ""
    employees: frozenset[str] = frozenset()  # codes by which events name the person as who served a customer

    @property
    def version(self) -> str:
        """A text that differs when anything does that a form about the person changes."""
        written = repr([self.name, sorted(self.roles), self.scope.text, self.email, sorted(self.employees)])
        return hashlib.sha256(written.encode()).hexdigest()[:16]

    def sees(self, titles: Mapping[str, str]) -> str:
        """Say what the person sees, in words of the current language; an employee only the own score, within the scope.

        `titles` has those of programs by id.
        """
        if self.roles != {Role.EMPLOYEE}:
            return self.scope.shown(titles)
        own = gettext("own score")
        return own if self.scope.is_whole else f"{own}, {self.scope.shown(titles)}"

    @property
    def gets_mailed_links(self) -> bool:
        """Whether links for a password may be mailed to the person."""
        return bool(self.email) and not self.is_off and not self.issuer


class InvalidPerson(Exception):
    """The text says what is wrong with a field, in words for the person at the form; `field` names it."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


def folded(login: str) -> str:
    """Return the form in which logins are compared: NFKC, without case and outer spaces."""
    return unicodedata.normalize("NFKC", login).strip().casefold()


CALL_ROLES = (Role.OPERATOR, Role.SUPERVISOR)  # of those who take calls


def checked_login(login: str) -> str:
    """Return a login in its stored form; raises InvalidPerson."""
    stored = folded(login)
    if not _LOGIN.fullmatch(stored) or len(stored) > LONGEST:
        raise InvalidPerson("login", gettext("a login has 1 to %(most)s characters and no spaces", most=LONGEST))
    return stored


def checked_name(name: str) -> str:
    """Return a name without outer spaces; raises InvalidPerson."""
    stored = " ".join(unicodedata.normalize("NFC", name).split())
    if not look_of(stored) or len(stored) > LONGEST or not stored.isprintable():
        raise InvalidPerson("name", gettext("a name has 1 to %(most)s characters", most=LONGEST))
    return stored


def checked_email(email: str) -> str:
    """Return an address in ASCII, "" for none; raises InvalidPerson."""
    stored = email.strip()
    if not stored:
        return ""
    address = mail_address(stored)
    if address is None:
        raise InvalidPerson("email", gettext("the e-mail address is not valid"))
    return address


def checked_employees(text: str) -> frozenset[str]:
    """Return the employee codes of a text, with commas, semicolons or spaces between them; raises InvalidPerson."""
    codes = frozenset(re.split(r"[\s,;]+", text.strip(" ,;\n\r\t"))) - {""}
    if wrong := sorted(code for code in codes if not EMPLOYEE_CODE.fullmatch(code)):
        raise InvalidPerson(
            "employees", gettext("%(code)s is no employee code: it has a digit, and 1 to 50 characters", code=wrong[0])
        )
    if len(codes) > MOST_CODES:
        raise InvalidPerson("employees", gettext("at most %(most)s employee codes are one person's", most=MOST_CODES))
    return codes


def checked_roles(names: Iterable[str]) -> frozenset[Role]:
    """Return the roles of these names; raises InvalidPerson for none and for an unknown one."""
    given = frozenset(names)
    if not given:
        raise InvalidPerson("roles", gettext("somebody without a role sees no page: choose at least one"))
    if unknown := given - frozenset(map(str, Role)):
        raise InvalidPerson(
            "roles", gettext("%(name)s is no role; roles are %(roles)s", name=min(unknown), roles=", ".join(Role))
        )
    return frozenset(map(Role, given))


@dataclass(frozen=True, slots=True)
class KnownScopes:
    """What a scope may name: programs by id with their titles, and the list of stores."""

    programs: Mapping[str, str]
    listed: Collection[Store]

    @property
    def codes(self) -> Mapping[str, str]:
        """The code of a store by each of its names in events."""
        return {name: store.code for store in self.listed for name in store.names}

    @property
    def regions(self) -> Mapping[str, str]:
        """The regions of the list, each as its own title."""
        return {name: name for name in sorted({store.region for store in self.listed if store.region})}

    def lacking(self, scope: PersonScope) -> list[str]:
        """Return the programs, the codes of stores and the regions of a scope that there are not."""
        stores = {store.code for store in self.listed}
        return sorted(
            scope.programs - self.programs.keys() | scope.stores - stores | scope.regions - self.regions.keys()
        )


def checked_scope(
    *,
    programs: Collection[str],
    stores: Collection[str],
    regions: Collection[str],
    known: KnownScopes,
) -> PersonScope:
    """Return a scope of programs, stores and regions that exist; stores may be given by any of their names.

    Raises InvalidPerson.
    """
    codes = known.codes
    _refuse_unknown(programs, known.programs, _NO_PROGRAM)
    _refuse_unknown(stores, codes, _NO_STORE)
    _refuse_unknown(regions, known.regions, _NO_REGION)
    return PersonScope(frozenset(programs), frozenset(codes[name] for name in stores), frozenset(regions))


def names_in(text: str, known: Collection[str]) -> list[str]:
    """Return the names in a text: each line that is a known name, others divided by commas and semicolons.

    Raises InvalidPerson for a text that has no name between its separators: it would stand for everything.
    """
    names: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        parts = [line] if line in known else re.split("[,;]", line)
        names += filter(None, map(str.strip, parts))
    if text.strip() and not names:
        raise InvalidPerson("scope", gettext("%(text)s is no name", text=text.strip()[:20]))
    return names


_NO_PROGRAM = mark("there is no program %(name)s: a program is known from its first survey on")
_NO_STORE = mark("there is no store %(name)s: the list of stores has codes, names and spellings")
_NO_REGION = mark("there is no region %(name)s: the list of stores has the regions")


def _refuse_unknown(names: Collection[str], known: Collection[str], why: str) -> None:
    unknown = set(names).difference(known)
    if unknown:
        raise InvalidPerson("scope", gettext(why, name=min(unknown)))


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts without a request, and in all."""

    idle: timedelta
    whole: timedelta


_WORKDAY = timedelta(hours=12)
_LIMITS: Mapping[Role, SessionLimits] = {
    Role.OPERATOR: SessionLimits(timedelta(hours=2), _WORKDAY),
    Role.SUPERVISOR: SessionLimits(timedelta(hours=1), _WORKDAY),
    Role.ANALYST: SessionLimits(timedelta(hours=2), timedelta(days=7)),
    Role.MANAGER: SessionLimits(timedelta(hours=2), timedelta(days=7)),
    Role.PRIVACY_OFFICER: SessionLimits(timedelta(minutes=30), _WORKDAY),
    Role.ADMINISTRATOR: SessionLimits(timedelta(minutes=30), _WORKDAY),
    Role.EMPLOYEE: SessionLimits(timedelta(hours=2), timedelta(days=7)),
}


def session_limits(roles: Iterable[Role]) -> SessionLimits:
    """Return the shortest limits of any of the roles."""
    of_roles = [_LIMITS[role] for role in roles] or list(_LIMITS.values())
    return SessionLimits(min(each.idle for each in of_roles), min(each.whole for each in of_roles))
