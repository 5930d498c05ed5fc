"""People of the staff and their one-time links; whoever changes people waits for the others to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from datetime import timedelta
from uuid import UUID

from services.scoring.domain.people.person import Person
from services.scoring.domain.people.scope import PersonScope
from services.scoring.domain.people.sessions import LogInState
from services.scoring.repository.people import revisions
from shared.contract.vocabulary import Role
from shared.database import db
from shared.database.session import Session

_LOCK = db.lock_number("scoring", "people")
COLUMNS = """p.login, p.name, p.roles, p.password IS NOT NULL AS has_password, p.off_at IS NOT NULL AS is_off,
p.code_secret IS NOT NULL AS has_codes, p.revision, p.programs, p.stores, p.regions, p.employees,
coalesce(p.email, '') AS email,
coalesce((SELECT i.issuer FROM person_identities i WHERE i.person = p.id), '') AS issuer"""
_COLUMNS = f"p.id AS person, {COLUMNS}"
_ALL = f"SELECT {_COLUMNS} FROM people p ORDER BY lower(p.name), p.login"  # noqa: S608 - column names only
_SOME = f"SELECT {_COLUMNS} FROM people p WHERE p.id = ANY ($1::uuid[]) ORDER BY lower(p.name), p.login"  # noqa: S608 - see above
_BY_LOGIN = f"SELECT {_COLUMNS}, p.password FROM people p WHERE p.login = $1"  # noqa: S608 - see above
_BY_ID = f"SELECT {_COLUMNS} FROM people p WHERE p.id = $1"  # noqa: S608 - see above
_BY_LINK = f"""SELECT {_COLUMNS} FROM people p JOIN staff_links l ON l.person = p.id
WHERE l.digest = $1 AND l.expires_at > clock_timestamp() AND p.off_at IS NULL"""  # noqa: S608 - see above
_COUNT_WHO_SEE = "SELECT count(*) AS n FROM people WHERE $1 = ANY(stores)"
_ADD = """INSERT INTO people (id, login, name, roles, programs, stores, regions, email, employees)
VALUES ($1, $2, $3, $4::text[], $5::text[], $6::text[], $7::text[], nullif($8, ''), $9::text[])
ON CONFLICT (login) DO NOTHING RETURNING id"""
_CHANGE = """UPDATE people SET name = $2, roles = $3::text[], programs = $4::text[], stores = $5::text[],
regions = $6::text[], email = nullif($7, ''), employees = $8::text[] WHERE id = $1"""
_SPOKEN = "SELECT spoken FROM people WHERE id = $1"
_SET_SPOKEN = "UPDATE people SET spoken = $2::text[] WHERE id = $1"
_SET_PASSWORD = "UPDATE people SET password = $2 WHERE id = $1"  # noqa: S105 - a statement
_TURN = """UPDATE people SET off_at = CASE WHEN $2 THEN coalesce(off_at, clock_timestamp()) END WHERE id = $1"""
_STATE = "SELECT password, code_secret, revision FROM people WHERE id = $1 FOR UPDATE"
_SET_CODES = """UPDATE people SET code_secret = $2, code_step = $3, recovery = $4::bytea[]
WHERE id = $1 AND code_secret IS NULL RETURNING id"""
_DROP_CODES = """UPDATE people SET code_secret = NULL, code_step = NULL, recovery = '{}'
WHERE id = $1 AND code_secret IS NOT NULL RETURNING id"""
_USE_CODE = """UPDATE people SET code_step = $2 WHERE id = $1 AND code_secret IS NOT NULL
AND coalesce(code_step, 0) < $2 RETURNING id"""
_USE_RECOVERY = """UPDATE people SET recovery = array_remove(recovery, $2) WHERE id = $1 AND code_secret IS NOT NULL
AND $2 = ANY (recovery) RETURNING cardinality(recovery) AS remaining"""
_ADD_LINK = "INSERT INTO staff_links (digest, person, expires_at) VALUES ($1, $2, clock_timestamp() + $3::interval)"
_FORGET_LINKS = "DELETE FROM staff_links WHERE person = $1"
_FORGET_OLD_LINKS = "DELETE FROM staff_links WHERE expires_at < clock_timestamp()"


async def lock(session: Session) -> None:
    """Let nobody else change people until the transaction ends."""
    await db.fetch(session, "SELECT pg_advisory_xact_lock($1)", _LOCK)


async def load_all(session: Session) -> list[Person]:
    """Load all people, sorted by name."""
    return [person_of(row) for row in await db.fetch(session, _ALL)]


async def names(session: Session) -> dict[str, str]:
    """Return how people are called, by their ids."""
    return {str(person.id): person.name for person in await load_all(session)}


async def logins(session: Session) -> dict[str, str]:
    """Return as whom people log in, by their ids."""
    return {str(person.id): person.login for person in await load_all(session)}


async def load_some(session: Session, ids: Iterable[UUID]) -> list[Person]:
    """Load the people who have these ids, sorted by name."""
    return [person_of(row) for row in await db.fetch(session, _SOME, list(ids))]


async def by_id(session: Session, id_: UUID, *, locked: bool = False) -> Person | None:
    """Return a person; with `locked` nobody else changes people until the transaction ends."""
    if locked:
        await lock(session)
    rows = await db.fetch(session, _BY_ID, id_)
    return person_of(rows[0]) if rows else None


async def by_login(session: Session, login: str) -> tuple[Person, str | None] | None:
    """Return who has a folded login, with the hash of the password."""
    rows = await db.fetch(session, _BY_LOGIN, login)
    return (person_of(rows[0]), rows[0]["password"]) if rows else None


async def count_who_see(session: Session, store: str) -> int:
    """Return how many people's scope names the store with this code."""
    return int((await db.fetch(session, _COUNT_WHO_SEE, store))[0]["n"])


async def by_link(session: Session, digest: bytes) -> Person | None:
    """Return for whom a one-time link is that was not used and has not expired."""
    rows = await db.fetch(session, _BY_LINK, digest)
    return person_of(rows[0]) if rows else None


async def add(session: Session, person: Person) -> bool:
    """Add a person without a password; returns False if somebody has the login."""
    return bool(await db.fetch(session, _ADD, person.id, person.login, *_changeable(person)))


async def change(session: Session, person: Person) -> None:
    """Store name, roles, scope, address and employee codes of a person."""
    await db.fetch(session, _CHANGE, person.id, *_changeable(person))
    await revisions.revise(session, person.id)


async def spoken(session: Session, id_: UUID) -> list[str]:
    """Return the languages in which a person takes calls, none for all."""
    rows = await db.fetch(session, _SPOKEN, id_)
    return list(rows[0]["spoken"]) if rows else []


async def set_spoken(session: Session, id_: UUID, languages: Iterable[str]) -> None:
    """Store the languages in which a person takes calls."""
    await db.fetch(session, _SET_SPOKEN, id_, sorted(languages))


async def set_password(session: Session, id_: UUID, password_hash: str) -> None:
    await db.fetch(session, _SET_PASSWORD, id_, password_hash)


async def log_in_state(session: Session, id_: UUID) -> LogInState | None:
    """Return what a log-in of a person is bound to, which stays so until the transaction ends."""
    rows = await db.fetch(session, _STATE, id_)
    return LogInState(**rows[0]) if rows else None


async def set_codes(session: Session, id_: UUID, secret: str, *, step: int, recovery: Sequence[bytes]) -> bool:
    """Store a second factor, whose code of `step` was used; returns False if the person has one already."""
    return bool(await db.fetch(session, _SET_CODES, id_, secret, step, list(recovery)))


async def drop_codes(session: Session, id_: UUID) -> bool:
    """Take the second factor of a person away; returns False if there is none."""
    return bool(await db.fetch(session, _DROP_CODES, id_))


async def use_code(session: Session, id_: UUID, step: int) -> bool:
    """Mark a step as used; returns False if it or a later one was."""
    return bool(await db.fetch(session, _USE_CODE, id_, step))


async def use_recovery(session: Session, id_: UUID, digest: bytes) -> bool:
    """Spend a recovery code; returns False if there is none."""
    return bool(await db.fetch(session, _USE_RECOVERY, id_, digest))


async def turn(session: Session, id_: UUID, *, off: bool) -> None:
    """Let somebody log in, or with `off` nobody."""
    await db.fetch(session, _TURN, id_, off)
    await revisions.revise(session, id_)


async def replace_link(session: Session, id_: UUID, digest: bytes, *, lasting: timedelta) -> None:
    """Store a one-time link of a person; one that was made before opens nothing any more."""
    await forget_links(session, id_)
    await db.fetch(session, _ADD_LINK, digest, id_, lasting)


async def forget_links(session: Session, id_: UUID) -> None:
    await db.fetch(session, _FORGET_LINKS, id_)


async def forget_old_links(session: Session) -> None:
    await db.fetch(session, _FORGET_OLD_LINKS)


def _changeable(person: Person) -> tuple[str | list[str], ...]:
    scope = person.scope
    named = (sorted(map(str, names)) for names in (person.roles, *astuple(scope)))
    return person.name, *named, person.email, sorted(person.employees)


def person_of(row: db.Row) -> Person:
    """Return the person of a row that has COLUMNS, and the id as `person`."""
    roles = frozenset(Role(role) for role in row["roles"] if role in set(Role))
    flags = {name: row[name] for name in ("has_password", "is_off", "has_codes")}
    scope = PersonScope(*(frozenset(row[name]) for name in ("programs", "stores", "regions")))
    flags |= {name: row[name] for name in ("revision", "issuer", "email")}
    employees = frozenset(row["employees"])
    return Person(row["person"], row["login"], row["name"], roles, scope=scope, employees=employees, **flags)
