"""Rejects unknown and repeated query parameters: ignoring one would return a result other than the requested one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.languages.marking import mark
from shared.web.problems import INVALID_REQUEST, Unprocessable


@dataclass(frozen=True, slots=True)
class SingleValued:
    """Dependency that rejects a repeated parameter, of which only the last value would count, unless in `several`."""

    several: frozenset[str] = frozenset()

    def __call__(self, request: Request) -> None:
        given = Counter(name for name, _ in request.query_params.multi_items())
        _refuse(
            (name for name, times in given.items() if times > 1 and name not in self.several), mark("It is taken once")
        )


def refuse_unknown(request: Request) -> None:
    """Dependency that rejects query parameters that the route does not declare."""
    if not request.url.query:
        return
    declared = {field.alias for field in get_flat_params(request.scope["route"].dependant)}
    _refuse(request.query_params.keys() - declared, mark("It is not known here"))


def refuse_parameters(request: Request) -> None:
    """Dependency that rejects every query parameter."""
    _refuse(request.query_params.keys(), mark("This address takes no parameters"))


def _refuse(names: Iterable[str], why: str) -> None:
    if errors := [{"where": f"query.{name}", "what": why} for name in sorted(names)]:
        raise Unprocessable(INVALID_REQUEST, errors=errors[:20])


class StrictInput(BaseModel):
    """A body in which unknown fields are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
ScorePoints = Annotated[int, Field(ge=-100, le=100)]
