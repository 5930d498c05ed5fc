"""Whether a URL in messages leads to the service that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.health import NotReady
from shared.web import public_urls
from shared.web.public_urls import PublicUrl, PublicUrlCheck, Verdict, WrongAddress, ask
from tests.integration.deploy.processes import black_hole

SCORING, DISPATCHER = '{"service": "scoring"}', '{"service": "dispatcher"}'


@asynccontextmanager
async def answering(status: int, body: str) -> AsyncIterator[tuple[PublicUrl, list[str]]]:
    """Answer every request alike and note its path."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.split()[1])
        lines = (f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Location: https://elsewhere.example/")
        writer.write(("\r\n".join((*lines, "Connection: close", "", "")) + body).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield PublicUrl("EARSHOT_PUBLIC_URL", f"http://127.0.0.1:{port}/", "/s"), asked


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, SCORING, Verdict.RIGHT),
        (200, DISPATCHER, Verdict.WRONG),
        (200, '{"service": "other"}', Verdict.WRONG),
        (200, "<html>A parked domain</html>", Verdict.WRONG),
        (200, "[]", Verdict.WRONG),
        (404, "", Verdict.WRONG),
        (404, '<link rel="stylesheet" href="/static/earshot.css">', Verdict.UNKNOWN),
        (405, "", Verdict.WRONG),
        (403, '{"title": "Staff only"}', Verdict.WRONG),
        (401, '{"title": "Staff only"}', Verdict.WRONG),
        (403, "<html>Are you a robot?</html>", Verdict.UNKNOWN),
        (301, "", Verdict.UNKNOWN),
        (429, "", Verdict.UNKNOWN),
        (502, "", Verdict.UNKNOWN),
        (503, '{"title": "Try again shortly"}', Verdict.UNKNOWN),
    ],
)
async def test_answer_says_whether_the_right_service_is_behind_a_url(status: int, body: str, verdict: Verdict) -> None:
    async with answering(status, body) as (url, asked):
        assert [result.verdict for result in await ask([url])] == [verdict]
        assert asked == ["/s/service"]


async def test_wrong_url_refuses_the_start_with_its_setting() -> None:
    async with answering(200, DISPATCHER) as (url, _):
        check = PublicUrlCheck([url])
        with pytest.raises(WrongAddress) as refused:
            await check.at_start()
        assert str(refused.value) == (
            f"{url.url}s must be answered by scoring, but is answered by dispatcher: "
            "route /s to scoring, as deploy/proxy does, or correct EARSHOT_PUBLIC_URL"
        )
        with pytest.raises(NotReady, match="must be answered by scoring"):
            await check.check()


async def test_url_that_hangs_or_leads_nowhere_is_only_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_urls, "WITHIN_S", 0.2)
    async with black_hole() as port:
        hangs = PublicUrl("EARSHOT_PUBLIC_URL", f"http://127.0.0.1:{port}", "/s")
        nowhere = PublicUrl("EARSHOT_UNSUBSCRIBE_URL", "http://127.0.0.1:1", "/u")
        check = PublicUrlCheck([hangs, nowhere])
        await check.at_start()
        with pytest.raises(NotReady) as told:
            await check.check()
    assert str(told.value) == (
        f"http://127.0.0.1:{port}/s cannot be checked from here (no answer); "
        "http://127.0.0.1:1/u cannot be checked from here (no answer)"
    )


async def test_result_is_used_again_for_a_while() -> None:
    async with answering(200, SCORING) as (url, asked):
        check = PublicUrlCheck([url])
        for _ in range(3):
            await check.check()
        assert len(asked) == 1
