"""Error responses as problem details (RFC 9457). They quote no value of the request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import asyncpg
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from shared.clock import ClockIsWrong
from shared.database.db import causes, is_transient
from shared.languages.current import lookup
from shared.languages.marking import mark

INVALID_REQUEST = mark("The request is invalid")  # the title of a 422
STAFF_ONLY = mark("Staff only")  # the title of a 401


class Problem(Exception):
    """An error response. `title` is the same for every occurrence, `detail` says what to do."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, title: str, detail: str = "", *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(title)
        self.title, self.detail, self.extra, self.headers = title, detail, extra, headers or {}

    @property
    def lines(self) -> list[str]:
        """What is wrong with which field, in the current language, for a page."""
        return [f"{_name(each['where'])}: {lookup(each['what'])}" for each in self.extra.get("errors", ())]


def _name(where: str) -> str:
    """Return the name of a field without the part of the request that it is in."""
    return where.removeprefix("query.").removeprefix("body.")


class BadRequest(Problem):
    status = HTTPStatus.BAD_REQUEST


class Unauthorized(Problem):
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND


class Conflict(Problem):
    status = HTTPStatus.CONFLICT


class PreconditionFailed(Problem):
    status = HTTPStatus.PRECONDITION_FAILED


class Gone(Problem):
    status = HTTPStatus.GONE


class TooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaType(Problem):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Unprocessable(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooManyRequests(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS


class Unavailable(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE


def problem_response(problem: Problem) -> JSONResponse:
    body = {"type": "about:blank", "title": problem.title, "status": int(problem.status), **problem.extra}
    if problem.detail:
        body["detail"] = problem.detail
    return JSONResponse(body, problem.status, problem.headers, media_type="application/problem+json")


_UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)


def as_problem(error: Exception) -> Problem:
    """Return the error response for any exception; 500 for one that is not expected."""
    if isinstance(error, Problem):
        return error
    if isinstance(error.__cause__, Problem):
        return error.__cause__  # FastAPI wraps errors that are raised while the body is read
    if refusal := _of_input(error):
        return refusal
    if is_transient(error):
        why = (
            mark("The machine's clock is wrong.")
            if isinstance(error, ClockIsWrong)
            else mark("The database does not answer.")
        )
        return Unavailable(mark("Try again shortly"), why, headers={"retry-after": "5"})
    return _with_status(error)


def _of_input(error: Exception) -> Problem | None:
    if isinstance(error, ClientDisconnect):
        return BadRequest(mark("The client closed the connection"))
    if any(isinstance(each, _UNSTORABLE) for each in causes(error)):
        return Unprocessable(mark("The request holds a character that cannot be stored"))
    return None


def _with_status(error: Exception) -> Problem:
    status, headers = HTTPStatus.INTERNAL_SERVER_ERROR, {}
    if isinstance(error, HTTPException):
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    problem = Problem(status.phrase, headers=headers)
    problem.status = status
    return problem
