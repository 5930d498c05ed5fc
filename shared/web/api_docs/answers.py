"""What an operation of an API needs and answers, written into its OpenAPI document by the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPMethod, HTTPStatus

from shared.contract.vocabulary import Role, Service
from shared.web import routes
from shared.web.api_docs.examples import Document, with_example
from shared.web.api_keys.scopes import needed_scope
from shared.web.routes import Audience

_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")  # which no operation answers
_WITH_BODY = (HTTPMethod.POST, HTTPMethod.PUT)
_WITHOUT_DATABASE = ("/healthz", "/metrics")
_PROBLEM: Document = {
    "title": "Problem",
    "description": "Problem details (RFC 9457). `errors` names the values that are wrong, at most 20.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The same for every occurrence."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
_SECURITY: Document = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, made by `earshot keys create`. Each operation names the scope that it needs.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "cookie",
        "name": "earshot",
        "description": "What a browser has after [the log-in](/login). It is sent by itself: leave the field empty.",
    },
}
_WHY = {
    HTTPStatus.BAD_REQUEST: "The request cannot be read.",
    HTTPStatus.UNAUTHORIZED: "It has neither an API key nor a ticket that counts, or the signature is wrong.",
    HTTPStatus.FORBIDDEN: "The scope of the key, the person's roles, or what the person may see does not allow it.",
    HTTPStatus.NOT_FOUND: "There is none with this name or id, or it is not open to the reader.",
    HTTPStatus.CONFLICT: "It contradicts what is stored.",
    HTTPStatus.GONE: "It has ended.",
    HTTPStatus.PRECONDITION_FAILED: "It was changed meanwhile: read it again, and send its new `ETag`.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this path takes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed, or of a type that this path does not take.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value is missing or wrong.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many wrong keys came from this address; `Retry-After` has seconds.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part that is needed does not answer; `Retry-After` has seconds.",
}
_NOT_FOUND, _CONFLICT, _STALE = (HTTPStatus.NOT_FOUND,), (HTTPStatus.CONFLICT,), (HTTPStatus.PRECONDITION_FAILED,)
_GONE = (HTTPStatus.GONE,)
OWN: Mapping[str, tuple[HTTPStatus, ...]] = {  # what single operations answer beside what many do
    "POST /v1/events": _CONFLICT,
    "POST /v1/hooks/{source}": (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND),
    "GET /v1/programs/{program_id}": _NOT_FOUND,
    "POST /v1/programs/{program_id}/state": _NOT_FOUND,
    "GET /v1/invitations/{invitation_id}": _NOT_FOUND,
    "POST /v1/links": _NOT_FOUND,
    "DELETE /v1/suppressions/{suppression_id}": _NOT_FOUND,
    "POST /v1/answers/{answer_id}/confirm": _NOT_FOUND + _CONFLICT,
    "PUT /v1/call-lists/{list_id}": _CONFLICT,
    "GET /v1/call-lists/{list_id}": _NOT_FOUND,
    "GET /v1/call-lists/export": _GONE,
    "DELETE /v1/call-lists/{list_id}": _NOT_FOUND,
    "POST /v1/call-lists/{list_id}/calls/{task_id}/answer": _NOT_FOUND + _CONFLICT + _GONE,
    "POST /v1/call-lists/{list_id}/calls/{task_id}/outcome": _NOT_FOUND + _CONFLICT,
    "POST /v1/desk/{task_id}/answer": _NOT_FOUND,
    "POST /v1/desk/{task_id}/outcome": _NOT_FOUND,
    "DELETE /v1/annotations/{annotation_id}": _NOT_FOUND,
    "DELETE /v1/benchmarks/{name}": _NOT_FOUND,
    "GET /v1/stores/{code}": _NOT_FOUND,
    "PUT /v1/stores/{code}": _CONFLICT + _STALE,
    "DELETE /v1/stores/{code}": _NOT_FOUND + _CONFLICT + _STALE,
    "POST /v1/webhooks": _CONFLICT,
    "DELETE /v1/webhooks/{endpoint_id}": _NOT_FOUND,
    "POST /v1/webhooks/{endpoint_id}/disable": _NOT_FOUND,
    "POST /v1/webhooks/{endpoint_id}/enable": _NOT_FOUND,
    "POST /v1/webhooks/{endpoint_id}/rotate": _NOT_FOUND,
    "POST /v1/webhooks/{endpoint_id}/replay": _NOT_FOUND,
    "POST /v1/webhooks/{endpoint_id}/test": _NOT_FOUND,
}


def completed(document: Document, service: Service) -> Document:
    """Return the document of a service's app with summaries, security and all answers of each operation.

    The summary is the first sentence of the description, which FastAPI takes from the docstring.
    """
    schemas = document.get("components", {}).get("schemas", {})
    kept = {name: schema for name, schema in schemas.items() if name not in _OF_FASTAPI}
    paths = {
        path: {method: _operation(each, service, method.upper(), path) for method, each in operations.items()}
        for path, operations in document["paths"].items()
    }
    components = {"schemas": {**kept, "Problem": _PROBLEM}, "securitySchemes": _SECURITY}
    return {**document, "paths": paths, "components": components}


def _operation(operation: Document, service: Service, method: str, path: str) -> Document:
    first, *rest = re.split(r"(?<=\.)\s+", operation.get("description", ""), maxsplit=1)
    prefix = routes.find(path)
    problems = {str(int(each)): _problem(each) for each in sorted(set(_statuses(prefix, method, path)))}
    shown = with_example(operation, f"{method} {path}")
    answers = {code: each for code, each in shown["responses"].items() if code != "422"}
    described = {**shown, "summary": first.rstrip("."), "responses": answers | problems}
    if prefix is None or not _is_gated(prefix):
        return described | {"description": "".join(rest)}
    scope = needed_scope(service, method, path)
    roles = ", ".join(role.label for role in Role if role in prefix.roles(method))
    by_key = f"A key needs the scope `{scope}`" if scope else "No key is taken"
    return described | {
        "description": "\n\n".join([*rest, f"{by_key}; a person needs one of the roles: {roles}."]),
        "security": [*([{"key": [str(scope)]}] if scope else []), {"ticket": []}],
    }


def _is_gated(prefix: routes.Prefix) -> bool:
    return prefix.audience in (Audience.STAFF, Audience.MACHINE)


def _statuses(prefix: routes.Prefix | None, method: str, path: str) -> Iterator[HTTPStatus]:
    yield HTTPStatus.BAD_REQUEST
    yield from OWN.get(f"{method} {path}", ())
    if prefix is not None and _is_gated(prefix):
        yield from (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
    if method in _WITH_BODY:
        yield from (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if path.startswith("/v1/"):  # also for a parameter that the path does not take
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    if path not in _WITHOUT_DATABASE:
        yield HTTPStatus.SERVICE_UNAVAILABLE


def _problem(status: HTTPStatus) -> Document:
    return {"description": _WHY[status], "content": {"application/problem+json": {"schema": _REFERENCE}}}
