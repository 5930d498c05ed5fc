"""Style sheets and scripts of pages: a page names each by its content, so that browsers keep it for a year."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from mimetypes import guess_type
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parents[1] / "static"
PATH = "/static/{name}"
_KEPT = "public, max-age=31536000, immutable"  # RFC 8246
_ASKED_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str
    version: str  # the beginning of the content's SHA-256


@cache
def _assets() -> dict[str, Asset]:
    """Read all files once: what is served under a version is what the version was computed of."""
    return {path.name: _read(path) for path in FOLDER.iterdir()}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, guess_type(path.name)[0] or "application/octet-stream", sha256(content).hexdigest()[:16])


def asset(name: str) -> str:
    """Return the path of a file with its version; raise KeyError if there is no such file."""
    return f"{PATH.format(name=name)}?v={_assets()[name].version}"


async def respond(request: Request) -> Response:
    """Respond with a file: to be kept if the request names its version, else to be asked for again."""
    found = _assets().get(request.path_params["name"])
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    tag = f'"{found.version}"'
    is_versioned = request.query_params.get("v") == found.version
    headers = {"etag": tag, "cache-control": _KEPT if is_versioned else _ASKED_AGAIN}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
