"""Error responses: a page for people, problem details for programs."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import Scope

from shared.languages.current import lookup
from shared.languages.marking import mark
from shared.web.errors.validation import InvalidRequest
from shared.web.problems import NotFound, Problem, problem_response
from shared.web.routes import SAFE, find, page_of
from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parent / "templates", lstrip_blocks=True)
_FOR_PROGRAMS = ("/v1/", "/hooks/", "/metrics")
_NO_PAGE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
_WHAT_TO_DO = {
    HTTPStatus.BAD_REQUEST: mark("Go back and try again."),
    HTTPStatus.UNAUTHORIZED: mark("Log in, and open the page again."),
    HTTPStatus.FORBIDDEN: mark("An administrator can say why, and what you may open."),
    HTTPStatus.NOT_FOUND: mark(
        "The address may have a mistake, or what was here is deleted, or it is not open to you."
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: mark("This address takes only a form: open the page it belongs to."),
    HTTPStatus.CONFLICT: mark("Open the page again to see how it is now."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: mark("Send less at once."),
    HTTPStatus.UNPROCESSABLE_ENTITY: mark("Go back and change what the form says."),
    HTTPStatus.TOO_MANY_REQUESTS: mark("Wait a moment, and try again."),
    HTTPStatus.SERVICE_UNAVAILABLE: mark("Wait a moment, and send it again."),
}
_PHRASES = mark("Method Not Allowed"), mark("Internal Server Error")  # titles that Starlette gives
_BACK = mark("Go back.")
_ADDRESS = mark("The address of the page has a mistake: go back, and open the page by its link.")
_OURS = mark(
    "This is a fault of Earshot, which has written it to its log. Whether something was changed, the page will show."
)


def error_response(scope: Scope, problem: Problem) -> Response:
    """Return a page if a browser asks for one, else problem details.

    Staff who open the address of a form, as after a log-in, are sent to the page that has it.
    """
    is_page = "text/html" in Headers(scope=scope).get("accept", "")
    if not is_page or scope["path"].startswith(_FOR_PROGRAMS):
        return problem_response(problem)
    if isinstance(problem, InvalidRequest) and problem.is_about_path:
        problem = NotFound(mark("Not Found"))
    if problem.status in _NO_PAGE and (page := _page_of_form(scope)):
        return RedirectResponse(page, HTTPStatus.SEE_OTHER)
    status = HTTPStatus(problem.status)
    advice = _advice(problem, is_of_address=bool(problem.lines) and scope["method"] in SAFE)
    page = _environment.get_template("error.html").render(
        title=lookup(problem.title),
        detail=lookup(problem.detail) if problem.detail else "",
        lines=problem.lines,
        advice=lookup(advice) if advice else "",
        status=int(status),
    )
    return HTMLResponse(page, status, problem.headers)


def _page_of_form(scope: Scope) -> str:
    """Return the page for staff that has the form of this address; "" for none, and for what a form sends."""
    prefix = find(scope["path"])
    is_opened = prefix is not None and prefix.is_for_staff and scope["method"] in SAFE
    return page_of(scope["path"]) if is_opened and _takes_only_forms(scope) else ""


def _takes_only_forms(scope: Scope) -> bool:
    """Say whether the app has a route for POST at this address, and none for GET with the same template.

    Another route for GET may match it too, as `/desk/{task_id}` matches `/desk/take`.
    """
    app = scope.get("app")
    routes = [(str(each.path), each.methods or ()) for each in iter_route_contexts(app.routes)] if app else []
    forms = (path for path, methods in routes if "POST" in methods)
    form = next((path for path in forms if compile_path(path)[0].match(scope["path"])), None)
    return form is not None and all(path != form for path, methods in routes if "GET" in methods)


def _advice(problem: Problem, *, is_of_address: bool) -> str:
    """Say what to do; "" where the problem says so itself."""
    status = HTTPStatus(problem.status)
    if is_of_address:
        return _ADDRESS
    if problem.detail and status in (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY):
        return ""
    return _WHAT_TO_DO.get(status, _OURS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _BACK)
