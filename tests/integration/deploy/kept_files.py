"""How long browsers keep the files that a page names."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import httpx2

KEPT = {(200, "public, max-age=31536000, immutable")}


async def policies_of_files(web: httpx2.AsyncClient, page: str) -> set[tuple[int, str]]:
    """Return the status and `Cache-Control` of every style sheet and script of a page."""
    shown = await web.get(page)
    named = re.findall(r'(?:<script src|<link rel="stylesheet" href)="([^"]+)"', shown.text)
    files = [await web.get(urljoin(str(shown.url), name)) for name in named]
    return {(file.status_code, file.headers["cache-control"]) for file in files}
