"""What a page for staff says was just done, and its button that undoes it."""

from __future__ import annotations

import re
from html import unescape

import httpx2

_DONE = re.compile(r'<div class="banner good spread done".*?</div>\n', re.DOTALL)
_FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


def done_on(page: str) -> str:
    """Return the sentence that says what was just done, "" where none does."""
    found = _DONE.search(page)
    return re.findall(r"<span>(.*?)</span>", found[0])[0] if found else ""


def without_done(page: str) -> str:
    return _DONE.sub("", page)


async def undo(client: httpx2.AsyncClient, page: str) -> httpx2.Response:
    """Press the button that undoes what was just done, or does it again."""
    [shown] = _DONE.findall(page)
    [action] = re.findall(r'action="([^"]*)"', shown)
    fields: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(shown):
        fields.setdefault(name, []).append(unescape(value))
    return await client.post(unescape(action), data=fields)
