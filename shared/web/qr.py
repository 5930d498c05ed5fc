"""QR pictures of links (ISO/IEC 18004), as SVG without anything loaded from outside."""

from __future__ import annotations

import io
from functools import lru_cache

import segno


@lru_cache(maxsize=1_000)  # a picture takes milliseconds of CPU
def qr_svg(link: str) -> str:
    """Return an SVG document with the QR code of a link, black on white, with its quiet zone, scaled by its viewer."""
    out = io.BytesIO()
    segno.make(link, error="m", micro=False).save(
        out, kind="svg", scale=4, border=4, dark="#000", light="#fff", omitsize=True, xmldecl=False
    )
    return out.getvalue().decode()
