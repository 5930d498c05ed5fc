"""One address for all services of a process: an ASGI app that passes each request to the app of its service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.contract.vocabulary import Service
from shared.languages.marking import mark
from shared.web import routes
from shared.web.api_docs.merging import merged
from shared.web.errors.pages import error_response
from shared.web.problems import Unavailable


class Front:
    """Passes each request unchanged to the service that the table of routes names; `/docs` shows all APIs."""

    def __init__(self) -> None:
        self._apps: dict[Service, ASGIApp] = {}
        self._documents: dict[Service, Callable[[], dict[str, Any]]] = {}

    def add(self, service: Service, app: FastAPI) -> None:
        """Start to pass requests to a service; before this call its paths answer 503."""
        self._apps[service], self._documents[service] = app, app.openapi
        if routes.service_of("/openapi.json") is service:
            app.title = "Earshot"
            app.openapi = self._openapi  # type: ignore[method-assign] # FastAPI's documented way to change it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = routes.service_of(scope["path"])
        app = self._apps.get(service) or error_response(
            scope,
            Unavailable(mark("Try again shortly"), f"{service} has not started yet.", headers={"retry-after": "1"}),
        )
        await app(scope, receive, send)

    def _openapi(self) -> dict[str, Any]:
        return merged({service: document() for service, document in self._documents.items()})
