"""Adds the digests of the images to the Dockerfile and the compose file: `make images REGISTRY=https://…`.

A tag can be given to another image, a digest cannot. The registry is asked with the HTTP API V2 of Docker's
distribution, https://distribution.github.io/distribution/spec/api/
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from deploy.supply.locks import ROOT
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, Reply

FILES = (ROOT / "deploy/Dockerfile", ROOT / "deploy/compose.yaml")
_REQUEST_S = 20.0
_REFERENCE = re.compile(
    r"^(?P<before>FROM |\s+image: )(?P<name>[a-z0-9][a-z0-9._/-]*):(?P<tag>[\w][\w.-]*)"
    r"(?:@sha256:[0-9a-f]{64})?(?=\s|$)",
    re.MULTILINE,
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


class NoDigest(Exception):
    """A registry gave no digest that can be trusted for an image; no file was changed."""


def references(text: str) -> set[tuple[str, str]]:
    """Return name and tag of each image that is not built here."""
    return {(found["name"], found["tag"]) for found in _REFERENCE.finditer(text)}


def with_digests(text: str, digests: Mapping[tuple[str, str], str]) -> str:
    """Return the text of a file with the digest of each image behind its tag."""

    def pinned(found: re.Match[str]) -> str:
        name, tag = found["name"], found["tag"]
        return f"{found['before']}{name}:{tag}@{digests[name, tag]}"

    return _REFERENCE.sub(pinned, text)


async def fetch_digests(registry: str, images: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Ask a registry for the digests of images; raises NoDigest."""
    return {(name, tag): await _digest(registry, name, tag) for name, tag in sorted(images)}


async def _digest(registry: str, name: str, tag: str) -> str:
    """Return the hash of the manifest for all platforms, compared with the one that the registry states."""
    repository = name if "/" in name else f"library/{name}"
    path = f"/v2/{repository}/manifests/{tag}"
    reply = await _get(registry, path)
    if reply.status == 401:
        token = await _token(registry, reply, repository)
        reply = await _get(registry, path, token=token)
    if reply.status != 200:
        raise NoDigest(f"{name}:{tag}: the registry answered {reply.status}")
    digest = f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
    if reply.headers.get("docker-content-digest", digest) != digest:
        raise NoDigest(f"{name}:{tag}: the manifest is not the one of the stated digest")
    if not reply.json().get("schemaVersion"):
        raise NoDigest(f"{name}:{tag}: the reply is no manifest")
    return digest


async def _token(registry: str, refused: Reply, repository: str) -> str:
    """Get a token that lets anybody read a repository, from where the registry says."""
    stated = dict(_CHALLENGE.findall(refused.headers.get("www-authenticate", "")))
    realm = urlsplit(stated.get("realm", ""))
    if realm.scheme not in ("https", urlsplit(registry).scheme) or not realm.netloc:
        raise NoDigest(f"{repository}: the registry asks for a log-in and does not say where")
    query = {"service": stated.get("service", ""), "scope": f"repository:{repository}:pull"}
    reply = await _get(f"{realm.scheme}://{realm.netloc}", realm.path, query=query)
    answer = reply.json()
    token = answer.get("token") or answer.get("access_token")
    if reply.status != 200 or not isinstance(token, str):
        raise NoDigest(f"{repository}: no token, the answer was {reply.status}")
    return token


async def _get(base: str, path: str, *, token: str = "", query: Mapping[str, str] | None = None) -> Reply:
    headers = {"accept": _MANIFESTS} | ({"authorization": f"Bearer {token}"} if token else {})
    client = HttpClient(base)
    try:
        return await client.send(Call("GET", path, query=query, headers=headers), within_s=_REQUEST_S)
    except (NotSent, MaybeSent):
        raise NoDigest(f"{base} cannot be reached") from None
    finally:
        await client.close()


async def pin(registry: str, files: Sequence[Path]) -> int:
    """Write the digests of all images into the files, and return how many images there are; raises NoDigest."""
    texts = {file: file.read_text() for file in files}
    digests = await fetch_digests(registry, set().union(*map(references, texts.values())))
    for file, text in texts.items():
        file.write_text(with_digests(text, digests))
    return len(digests)


def main(arguments: Sequence[str]) -> int:
    """Pin the images with the registry whose URL is the only argument."""
    if len(arguments) != 1 or not arguments[0].startswith(("https://", "http://")):
        print("earshot: say which registry: make images REGISTRY=https://…", file=sys.stderr)
        return 2
    try:
        print(f"{asyncio.run(pin(arguments[0].rstrip('/'), FILES))} images have their digests")
    except NoDigest as error:
        print(f"earshot: {error}; nothing was changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
