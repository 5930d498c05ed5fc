"""The page `/statistics`: `docs/statistics.md` as HTML."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from markdown_it import MarkdownIt

from services.scoring.web import rendering
from shared.web.staff.menu import StaffPages

DOCUMENT = Path(__file__).parents[3] / "docs" / "statistics.md"


def router(staff_pages: StaffPages) -> APIRouter:
    title, _, text = DOCUMENT.read_text(encoding="utf-8").partition("\n")
    html = MarkdownIt("js-default").render(text)
    page = APIRouter()

    @page.get("/statistics", include_in_schema=False)
    async def show() -> Response:
        return rendering.page("statistics.html", title=title.removeprefix("# "), html=html, pages=staff_pages)

    return page
