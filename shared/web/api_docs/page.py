"""The page of the API documents; its script and style sheet come with FastAPIOffline."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

PATH = "/docs"
_FILES = "/static-offline-docs"


def add_page(app: FastAPI) -> None:
    """Serve the page of an app that FastAPIOffline made; it says that it is in English."""

    async def show() -> HTMLResponse:
        shown = get_swagger_ui_html(
            openapi_url=str(app.openapi_url),
            title=f"{app.title} API",
            swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{_FILES}/swagger-ui.css",
            swagger_favicon_url=f"{_FILES}/favicon.png",
        )
        return HTMLResponse(bytes(shown.body).decode().replace("<html>", '<html lang="en">', 1))

    app.add_api_route(PATH, show, methods=["GET"], include_in_schema=False)
