"""What a container engine asks: exit code 0 only where a service answers that it is alive."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response

from deploy import healthcheck
from tests.fakes import Gateway, gateway


async def code(*ports: int | None) -> int:
    return await asyncio.to_thread(healthcheck.main, [str(port) for port in ports])


def answering(status: int, fake: Gateway) -> int | None:
    fake.answer = lambda _form: Response(status_code=status)
    return urlsplit(fake.url).port


async def test_one_service_that_is_alive_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        nobody = refusing.getsockname()[1]
        async with gateway() as fake:
            alive = answering(200, fake)
            assert [await code(alive), await code(nobody, alive), await code(nobody)] == [0, 0, 1]
            for status in (500, 503, 404, 204):
                assert await code(nobody, answering(status, fake)) == 1
    assert set(fake.paths) == {"GET /livez"}
