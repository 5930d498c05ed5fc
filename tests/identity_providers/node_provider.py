"""The npm package `oidc-provider` as a real identity provider, whose users are whoever they say."""

from __future__ import annotations

import asyncio
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy import databases
from tests import npm

_SOURCES = Path(__file__).with_name("node")
_INSTALLED = databases.ROOT / "build" / "oidc-provider"


@asynccontextmanager
async def node_provider(port: int, *, client_id: str, secret: str, callback: str) -> AsyncIterator[None]:
    """Serve `http://127.0.0.1:{port}` with one client; raises NotHere."""
    await npm.install(_SOURCES, _INSTALLED)
    script = shutil.copy(_SOURCES / "provider.mjs", _INSTALLED)
    client = json.dumps({"client_id": client_id, "client_secret": secret, "redirect_uris": [callback]})
    command = ("node", script, str(port), client)
    process = await asyncio.create_subprocess_exec(*command, cwd=_INSTALLED, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise npm.NotHere("oidc-provider did not start")
        yield
    finally:
        process.stdin.close()
        await process.wait()
