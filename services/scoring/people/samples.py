"""A sample person for each role, whom everybody may become in the demo."""

from __future__ import annotations

from collections.abc import Mapping

from uuid_utils.compat import uuid7

from services.scoring.domain.people.person import Person
from services.scoring.repository.people import accounts
from shared.contract.vocabulary import Role
from shared.database.session import Session
from shared.languages.marking import mark

SAMPLES: Mapping[Role, tuple[str, str]] = {  # name, and what the person does here
    Role.MANAGER: ("Maria", mark("reads the score")),
    Role.ANALYST: ("Anton", mark("compares groups and programs")),
    Role.SUPERVISOR: ("Sofia", mark("leads the call centre")),
    Role.OPERATOR: ("Oleg", mark("calls customers")),
    Role.PRIVACY_OFFICER: ("Polina", mark("answers for personal data")),
    Role.ADMINISTRATOR: ("Alexei", mark("runs Earshot")),
    Role.EMPLOYEE: ("Elena", mark("sees her own score")),
}

SAMPLE_EMPLOYEE = "e-1"  # the code of the employee, whom events of the demo name


def login_of(role: Role) -> str:
    return f"sample-{role.value.replace('_', '-')}"


async def sample_person(session: Session, role: Role) -> Person:
    """Return the sample person of a role, who is added when there is none."""
    login = login_of(role)
    await accounts.lock(session)
    if found := await accounts.by_login(session, login):
        return found[0]
    codes = frozenset([SAMPLE_EMPLOYEE] if role is Role.EMPLOYEE else [])
    person = Person(uuid7(), login, f"{SAMPLES[role][0]} ({role.label})", frozenset([role]), employees=codes)
    await accounts.add(session, person)
    return person
