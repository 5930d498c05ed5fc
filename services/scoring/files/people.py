"""Reads CSV files of people, and writes their one-time links."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.scoring.files.uploads import read_upload
from shared.contract.vocabulary import Role
from shared.languages.marking import mark
from shared.tables.layout import TableOptions

MOST_PEOPLE = 2000
_HEADINGS: Mapping[str, Sequence[str]] = {  # whatever their case and spaces; the first that is there counts
    "login": ("login", "user", "e-mail", "email", "логин", "почта", "эл. почта"),
    "name": ("name", "full name", "имя", "фио", "сотрудник"),
    "email": ("e-mail", "email", "mail", "почта", "эл. почта", "электронная почта"),
    "roles": ("roles", "role", "роли", "роль", "должность"),
    "programs": ("programs", "program", "программы", "программа"),
    "stores": (
        *("stores", "store", "store code", "store codes", "store_code", "shops", "shop"),
        *("магазины", "магазин", "код магазина", "точки", "точка"),
    ),
    "employees": ("employee codes", "employee code", "employee", "код сотрудника", "табельный номер"),
    "regions": ("regions", "region", "регионы", "регион"),
}
_SCOPE = frozenset({"programs", "stores", "regions"})
_OPTIONS = TableOptions(columns=_HEADINGS, optional=_SCOPE | {"email", "employees"}, unique=None)
_RUSSIAN: Mapping[str, Role] = {
    "оператор": Role.OPERATOR,
    "супервайзер": Role.SUPERVISOR,
    "аналитик": Role.ANALYST,
    "менеджер": Role.MANAGER,
    "управляющий": Role.MANAGER,
    "ответственный за персональные данные": Role.PRIVACY_OFFICER,
    "администратор": Role.ADMINISTRATOR,
    "сотрудник": Role.EMPLOYEE,
}
_ROLES: Mapping[str, str] = {**{role.label: role.value for role in Role}, **_RUSSIAN}


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A line of the file, whose `email` and `employees` may be "".

    `problem` says why it could not be read, "" if it was. `scope` has the cells of the columns programs, stores and
    regions that the file has.
    """

    line: int
    login: str
    name: str
    email: str
    employees: str
    roles: Sequence[str]
    scope: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PeopleFile:
    rows: Sequence[PersonRow]
    layout: str
    ignored: Sequence[str]


def read(content: bytes) -> PeopleFile:
    """Read a CSV file with the columns login, name, roles, and perhaps an address and what the people see.

    Raises InvalidFile.
    """
    file = read_upload(content, _OPTIONS, most=MOST_PEOPLE, too_many=mark("has more than %(most)s people"))
    of_scope = _SCOPE.intersection(file.names)
    rows = []
    for record in file.records:
        cells = record.cells or {}
        texts = {name: cells.get(name, "").strip() for name in _HEADINGS}
        scope = {name: texts[name] for name in of_scope}
        login, name, email, roles = texts["login"], texts["name"], texts["email"], roles_of(texts["roles"])
        rows.append(PersonRow(record.line, login, name, email, texts["employees"], roles, scope, record.problem))
    return PeopleFile(rows, file.layout, [name for name in file.names if name not in _HEADINGS])


def roles_of(text: str) -> list[str]:
    """Return the roles of a cell, with commas, semicolons, slashes, plus signs or lines between them."""
    words = (word.strip().casefold().replace("_", " ") for word in re.split(r"[,;/+\n]", text))
    return [str(_ROLES.get(word, word)) for word in words if word]
