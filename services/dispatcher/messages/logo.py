"""A brand's logo in mails: a small picture that each mail carries, so that nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

MAX_LOGO = 20_000  # bytes
_KINDS = (  # how a file of each kind begins and ends
    ("png", b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    ("jpeg", b"\xff\xd8\xff", b"\xff\xd9"),
    ("gif", b"GIF8", b";"),
)


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture; `kind` is the subtype of its media type, `encoded` its bytes in base64, in lines of a mail."""

    kind: str
    encoded: bytes


def read_logo(file: Path) -> Logo:
    """Read a PNG, JPEG or GIF file of at most `MAX_LOGO` bytes, whatever its name; raises ValueError."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_LOGO + 1)
    except OSError as error:
        raise ValueError(f"logo: {file} cannot be read: {error.strerror}") from None
    if len(content) > MAX_LOGO:
        raise ValueError(f"logo: {file} has more than {MAX_LOGO} bytes, and every mail carries it")
    kind = next((kind for kind, begin, end in _KINDS if content.startswith(begin) and content.endswith(end)), None)
    if kind is None:
        raise ValueError(f"logo: {file} is no whole PNG, JPEG or GIF picture; mail programs show no other kinds")
    return Logo(kind, base64.encodebytes(content).strip().replace(b"\n", b"\r\n"))
