"""Error responses: a page for people, problem details for programs."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from shared.web.problems import Problem, problem_response
from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parent / "templates", lstrip_blocks=True)
_FOR_PROGRAMS = ("/v1/", "/hooks/", "/metrics")
_WHAT_TO_DO = {
    HTTPStatus.BAD_REQUEST: "Go back and try again.",
    HTTPStatus.UNAUTHORIZED: "Log in, and open the page again.",
    HTTPStatus.FORBIDDEN: "An administrator can say why, and what you may open.",
    HTTPStatus.NOT_FOUND: "The address may have a mistake, or what was here is deleted, or it is not open to you.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address takes only a form: open the page it belongs to.",
    HTTPStatus.CONFLICT: "Open the page again to see how it is now.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Send less at once.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Go back and change what the form says.",
    HTTPStatus.TOO_MANY_REQUESTS: "Wait a moment, and try again.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Wait a moment, and send it again.",
}
_OURS = (
    "This is a fault of Earshot, which has written it to its log. Whether something was changed, the page will show."
)


def error_response(scope: Scope, problem: Problem) -> Response:
    """Return a page if a browser asks for one, else problem details."""
    is_page = "text/html" in Headers(scope=scope).get("accept", "")
    if not is_page or scope["path"].startswith(_FOR_PROGRAMS):
        return problem_response(problem)
    status = HTTPStatus(problem.status)
    page = _environment.get_template("error.html").render(
        title=problem.title,
        detail=problem.detail,
        places=[f"{each['where']}: {each['what']}" for each in problem.extra.get("errors", ())],
        advice=_WHAT_TO_DO.get(status, _OURS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Go back."),
        status=int(status),
    )
    return HTMLResponse(page, status, problem.headers)
