"""Reads posted forms."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from shared.languages.marking import mark
from shared.web.problems import Unprocessable

MAX_FIELDS = 1000
MOST_UPLOADED = 2_800_000  # bytes: a file of 2 MB as base64, with the rest of the form


async def read(request: Request) -> FormData:
    """Read a form; raises Unprocessable when it is not in its encoding or has more than MAX_FIELDS fields.

    URL-encoded forms, which browsers send, are read by the standard library, which takes a fifth of Starlette's time.
    """
    try:
        if request.headers.get("content-type", "").partition(";")[0] == "application/x-www-form-urlencoded":
            written = (await request.body()).decode("latin-1")  # as Starlette does; percent-encoded bytes are UTF-8
            return FormData([*parse_qsl(written, keep_blank_values=True, max_num_fields=MAX_FIELDS)])
        return await request.form()
    except ValueError:
        raise Unprocessable(
            mark("The form cannot be read"), f"Send it in UTF-8, with at most {MAX_FIELDS} fields."
        ) from None


async def uploaded(form: FormData) -> bytes:
    """Return the bytes of the chosen file, or of the one in the field `kept`, which the page before had.

    Raises Unprocessable.
    """
    file, kept = form.get("file"), form.get("kept")
    if isinstance(file, UploadFile):
        return await file.read()
    try:
        return base64.b64decode(kept if isinstance(kept, str) else "", validate=True)
    except binascii.Error:
        raise Unprocessable(mark("The form cannot be read"), mark("Choose the file again.")) from None
