"""Digests of images from a registry that speaks the HTTP API V2 of Docker's distribution."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from deploy.supply import images
from deploy.supply.images import NoDigest, pin, references, with_digests
from tests.fakes import Gateway, gateway

INDEX = "application/vnd.oci.image.index.v1+json"
OLD = "@sha256:" + "0" * 64
DOCKERFILE = f"FROM python:3.11.18-slim AS packages\nRUN x\nFROM python:3.11.18-slim{OLD}\n# FROM nothing:1\n"
COMPOSE = """\
services:
  a:
    image: earshot
  b:
    image: caddy:2.11.9-alpine # the proxy
  c:
    image: axllent/mailpit:v1.33.1
"""


def manifest(name: str) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "for": name}, indent=1).encode()


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(manifest(name)).hexdigest()}"


class Registry:
    """Gives manifests to whoever has a token, which it gives to everybody."""

    def __init__(self, service: Gateway) -> None:
        self.service = service
        self.changed: Response | None = None  # instead of a manifest
        self.scopes: list[str] = []
        self.realm = f"{service.url}/token"
        service.answer = self.answer

    def answer(self, fields: dict[str, str]) -> Response:
        path = self.service.paths[-1].removeprefix("GET ")
        if path == "/token":
            self.scopes.append(fields["scope"])
            return JSONResponse({"token": f"for {fields['scope']} at {fields['service']}"})
        name, tag = path.removeprefix("/v2/").split("/manifests/")
        if self.service.authorization[-1] != f"Bearer for repository:{name}:pull at registry.test":
            challenge = f'Bearer realm="{self.realm}",service="registry.test",scope="repository:{name}:pull"'
            return Response(status_code=401, headers={"www-authenticate": challenge})
        response = Response(manifest(f"{name}:{tag}"), headers={"docker-content-digest": digest(f"{name}:{tag}")})
        return self.changed or response


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with gateway() as service:
        yield Registry(service)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    return [tmp_path / "Dockerfile", tmp_path / "compose.yaml"]


async def test_digests_are_written_behind_the_tags(registry: Registry, files: list[Path]) -> None:
    assert await pin(registry.service.url, files) == 3
    python = f"python:3.11.18-slim@{digest('library/python:3.11.18-slim')}"
    dockerfile, compose = (file.read_text() for file in files)
    assert dockerfile == f"FROM {python} AS packages\nRUN x\nFROM {python}\n# FROM nothing:1\n"
    assert f"    image: caddy:2.11.9-alpine@{digest('library/caddy:2.11.9-alpine')} # the proxy\n" in compose
    assert f"    image: axllent/mailpit:v1.33.1@{digest('axllent/mailpit:v1.33.1')}\n" in compose
    assert "    image: earshot\n" in compose
    assert registry.scopes == [
        f"repository:{name}:pull" for name in ("axllent/mailpit", "library/caddy", "library/python")
    ]


async def test_pinned_files_are_pinned_again_to_the_same(registry: Registry, files: list[Path]) -> None:
    await pin(registry.service.url, files)
    before = [file.read_text() for file in files]
    await pin(registry.service.url, files)
    assert [file.read_text() for file in files] == before


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Response(status_code=404), "answered 404"),
        (Response(status_code=401), "answered 401"),
        (Response(manifest("x"), headers={"docker-content-digest": OLD[1:]}), "not the one of the stated digest"),
        (Response(b"<html>"), "no manifest"),
        (Response(b"{}"), "no manifest"),
    ],
)
async def test_reply_that_gives_no_digest_changes_no_file(
    registry: Registry, files: list[Path], reply: Response, why: str
) -> None:
    registry.changed = reply
    with pytest.raises(NoDigest, match=why):
        await pin(registry.service.url, files)
    assert [file.read_text() for file in files] == [DOCKERFILE, COMPOSE]


@pytest.mark.parametrize("realm", ["", "ftp://127.0.0.1/token", "file:///etc/passwd", "/token"])
async def test_token_is_asked_for_only_over_http(registry: Registry, files: list[Path], realm: str) -> None:
    registry.realm = realm
    with pytest.raises(NoDigest, match="does not say where"):
        await pin(registry.service.url, files)


async def test_registry_that_is_away_is_said(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway() as service:
        url = service.url
        monkeypatch.setattr(images, "_REQUEST_S", 0.2)
        service.answer = lambda _fields: None
        with pytest.raises(NoDigest, match="cannot be reached"):
            await pin(url, files)
    with pytest.raises(NoDigest, match="cannot be reached"):
        await pin(url, files)
    assert [file.read_text() for file in files] == [DOCKERFILE, COMPOSE]


def test_every_image_of_ours_would_get_a_digest() -> None:
    for file in images.FILES:
        found = references(file.read_text())
        assert found
        pinned = with_digests(file.read_text(), dict.fromkeys(found, "sha256:" + "a" * 64))
        lines = [line for line in pinned.splitlines() if line.startswith("FROM ") or "    image: " in line]
        assert all("@sha256:" in line or line.endswith("image: earshot") for line in lines)


@pytest.mark.parametrize("arguments", [[], ["registry.test"], ["https://a.test", "https://b.test"]])
def test_command_says_that_it_needs_a_registry(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert images.main(arguments) == 2
    assert "say which registry" in capsys.readouterr().err
