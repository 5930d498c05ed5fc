"""What browsers, and those who pretend to be one, send in forms."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.datastructures import FormData

from shared.problems import Unprocessable

_UNSTORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


async def read(request: Request) -> FormData:
    """Read a form; raises Unprocessable: a sender may name an encoding that its own text is not in."""
    try:
        return await request.form()
    except UnicodeError:
        raise Unprocessable("The form cannot be read", "Send it in UTF-8.") from None


def clean(text: str) -> str:
    """Drop what is no text: control characters but tab and line feed, and halves of surrogate pairs."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n"))
