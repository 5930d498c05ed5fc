"""Finds the route of a request before the application does: its template names the act in the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from shared.web import routes

WORDS = frozenset({"code", "name"})  # path parameters that staff chose: a store's code, a benchmark's name
NOT_WRITTEN = frozenset({"customer_id", "secret", "state"})
LONGEST = 100


@dataclass(frozen=True, slots=True)
class RecordedRoute:
    method: str
    template: str
    pattern: re.Pattern[str]

    @property
    def action(self) -> str:
        return f"{self.method} {self.template}"

    def subject_in(self, path: str) -> str | None:
        """Return the id in a path that is not personal data: a UUID of ours, or a word that staff chose."""
        found = self.pattern.match(path)
        for name, value in found.groupdict().items() if found else ():
            if name in WORDS:
                return str(value)[:LONGEST]
            if name not in NOT_WRITTEN and _is_uuid(value):
                return str(value)
        return None


class RecordedRoutes:
    """The routes of an app whose requests are recorded, in the order in which the app tries them."""

    def __init__(self, app: FastAPI) -> None:
        self.all = tuple(_recorded(app))

    def find(self, method: str, path: str) -> RecordedRoute | None:
        return next((each for each in self.all if each.method == method and each.pattern.match(path)), None)


def _recorded(app: FastAPI) -> Iterator[RecordedRoute]:
    for route in iter_route_contexts(app.routes):
        template = str(route.path)
        for method in sorted(route.methods or ()):
            if routes.is_recorded(method, template) or (method == "GET" and template in routes.BY_PARAMETER):
                yield RecordedRoute(method, template, compile_path(template)[0])


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
