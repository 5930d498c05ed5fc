"""The page `/statistics`: `docs/statistics.md`, or its translation, as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Response
from markdown_it import MarkdownIt

from services.scoring.web import rendering
from shared.languages.catalogue import ENGLISH
from shared.languages.current import current
from shared.web.staff.menu import StaffPages

_DOCS = Path(__file__).parents[3] / "docs"
DOCUMENT = _DOCS / "statistics.md"
DOCUMENTS = {ENGLISH: DOCUMENT, "ru": _DOCS / "statistics.ru.md"}


class _Manual(NamedTuple):
    language: str
    title: str
    html: str


def _read(language: str) -> _Manual:
    title, _, text = DOCUMENTS[language].read_text(encoding="utf-8").partition("\n")
    return _Manual(language, title.removeprefix("# "), MarkdownIt("js-default").render(text))


def router(staff_pages: StaffPages) -> APIRouter:
    manuals = {language: _read(language) for language in DOCUMENTS}
    page = APIRouter()

    @page.get("/statistics", include_in_schema=False)
    async def show() -> Response:
        manual = manuals.get(current.get().code, manuals[ENGLISH])
        return rendering.page("statistics.html", manual=manual, pages=staff_pages)

    return page
