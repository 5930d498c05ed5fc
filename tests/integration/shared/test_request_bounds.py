"""What any request may hold, on any route: its Host, codec, size, cookies and method; a decoder's time is counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import FastAPI, Form, Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from shared.contract.vocabulary import Service
from shared.health import Health
from shared.web import problems
from shared.web.app import create_app
from tests.integration.shared.test_web import client
from tests.staff import ACCESS

PART = b'--b\r\ncontent-disposition: form-data; name="what"\r\n\r\n%b\r\n--b--\r\n'
MULTIPART, URLENCODED = "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"
CODECS = (
    *(
        "punycode",
        "idna",
        "utf-7",
        "rot13",
        "zip",
        "bz2",
        "uu",
        "hex",
        "quopri",
        "base64",
        "unicode_escape",
        "undefined",
    ),
    *(
        "raw_unicode_escape",
        "utf-16",
        "utf-32",
        "cp037",
        "windows-1251",
        "koi8-r",
        "hz",
        "iso2022_jp",
        "x-none",
        "mbcs",
    ),
)
BAD_HOSTS = (
    "[",
    "]",
    "[::1",
    "[abc]",
    "[::1]x",
    "a b",
    "a/b",
    "a\\b",
    "a@b",
    "a?b",
    "a#b",
    "a:b",
    "a:99999999",
    "ä",
    "\x00",
)


def bounded(*, https: bool = False) -> FastAPI:
    app = create_app(Service.DISPATCHER, access=ACCESS, health=Health(), https=https)

    @app.post("/u/{link}")
    async def form(link: str, what: Annotated[str, Form()] = "") -> dict[str, str]:
        return {"link": link, "what": what}

    @app.post("/u/{link}/body")
    async def body(link: str, given: dict[str, Any]) -> str:
        return link if given else ""

    @app.get("/mailbox")
    async def page(request: Request) -> str:
        return request.url.query

    return app


@pytest.fixture
async def web() -> AsyncIterator[httpx2.AsyncClient]:
    async with client(bounded()) as made:
        yield made


async def cost_of(web: httpx2.AsyncClient, *, content: bytes, headers: Mapping[str, str], path: str = "/u/x") -> float:
    """Return the process seconds of a request, in which no server error may happen."""
    before = time.process_time()
    answer = await web.post(path, content=content, headers=headers)
    assert answer.status_code < 500, answer.text
    return time.process_time() - before


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("written", ["charset=%s", 'charset="%s"', "CharSet = %s", "charset*=utf-8''%s"])
async def test_form_is_read_as_utf8_whatever_codec_its_sender_names(
    web: httpx2.AsyncClient, codec: str, written: str
) -> None:
    kind = f"{MULTIPART}; {written % codec}"
    read = await web.post("/u/x", content=PART % "Приветь-a9b".encode(), headers={"content-type": kind})
    assert read.json() == {"link": "x", "what": "Приветь-a9b"}


HOSTILE = {
    "punycode": (MULTIPART + "; charset=punycode", PART % (b"-" + b"a9b" * 300_000)),
    "idna": (MULTIPART + "; charset=idna", PART % (b"a" * 900_000)),
    "semicolons in a part's header": (
        MULTIPART,
        b'--b\r\ncontent-disposition: form-data; x="' + b";" * 900_000 + b"\r\n\r\n",
    ),
    "semicolons in the content type": ('multipart/form-data; boundary="' + ";" * 30_000, b"x"),
    "a long boundary that almost comes": (
        "multipart/form-data; boundary=" + "b" * 15_000,
        b"--"
        + b"b" * 15_000
        + b'\r\ncontent-disposition: form-data; name="a"\r\n\r\n'
        + (b"\r\n--" + b"b" * 14_990) * 60,
    ),
    "parts": (MULTIPART, b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n' * 15_000),
    "files": (MULTIPART, b'--b\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n1\r\n' * 12_000),
    "fields": (URLENCODED, b"a=1&" * 240_000),
    "separators": (URLENCODED, b"&" * 990_000),
    "percent signs": (URLENCODED, b"what=" + b"%41" * 330_000),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_form_costs_more_than_reading_it(web: httpx2.AsyncClient, name: str) -> None:
    kind, content = HOSTILE[name]
    assert await cost_of(web, content=content, headers={"content-type": kind}) < 1.0


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 900_000,
        b'{"a":' * 180_000,
        b"[" * 400_000 + b"]" * 400_000,
        b'{"a":' + b"9" * 900_000 + b"}",
        b'{"a":-' + b"9" * 4000 + b"}",
        b'{"a":1e' + b"9" * 900_000 + b"}",
        b'{"a":[' + (b"1" * 4300 + b",") * 200 + b"1]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}",
    ],
    ids=["arrays", "objects", "closed", "digits", "number", "exponent", "numbers", "names"],
)
async def test_no_json_costs_more_than_reading_it(web: httpx2.AsyncClient, content: bytes) -> None:
    headers = {"content-type": "application/json; charset=punycode"}
    assert await cost_of(web, content=content, headers=headers, path="/u/x/body") < 1.0


@pytest.mark.parametrize(
    "cookie", ['a="' + "\\" * 30_000 + '"', 'a="' + "\\1" * 15_000 + '"', ";" * 30_000, "=;" * 15_000, '"' * 30_000]
)
async def test_no_cookie_costs_more_than_reading_it(web: httpx2.AsyncClient, cookie: str) -> None:
    assert await cost_of(web, content=b"", headers={"cookie": cookie}) < 0.3


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip"])
async def test_compressed_body_is_refused_before_it_is_read(web: httpx2.AsyncClient, coding: str) -> None:
    answer = await web.post("/u/x", content=b"\x1f\x8b" * 100, headers={"content-encoding": coding})
    assert (answer.status_code, answer.json()["title"]) == (415, "The body is compressed")
    plain = await web.post(
        "/u/x", content=b"what=all", headers={"content-encoding": "identity", "content-type": URLENCODED}
    )
    assert plain.json()["what"] == "all"


@pytest.mark.parametrize("path", ["/mailbox", "/mailbox/", "/u/x", "/docs", "/nowhere", "/static/../x"])
@pytest.mark.parametrize("host", BAD_HOSTS)
async def test_host_that_is_none_is_a_bad_request(web: httpx2.AsyncClient, host: str, path: str) -> None:
    answer = await web.get(path, headers={b"host": host.encode()})
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8001", "[::1]:8001", "localhost:", "LOCALHOST"])
async def test_host_of_this_machine_is_taken(web: httpx2.AsyncClient, host: str) -> None:
    assert (await web.get("/mailbox", headers={"host": host})).status_code == 200


async def test_two_hosts_are_a_bad_request(web: httpx2.AsyncClient) -> None:
    answer = await web.get("/mailbox", headers=[("host", "localhost"), ("host", "evil.example")])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[abc]", "null", "", "http://", "//", "\\", "a" * 5000, "http://a:b"]
)
async def test_odd_origin_is_another_site(web: httpx2.AsyncClient, origin: str) -> None:
    assert (await web.post("/mailbox", headers={"origin": origin})).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "[::1]"])
async def test_redirect_names_a_path_and_no_host(web: httpx2.AsyncClient, host: str) -> None:
    answer = await web.get("/mailbox/?a=1", headers={"host": host})
    assert (answer.status_code, answer.headers["location"]) == (307, "/mailbox?a=1")


@pytest.mark.parametrize(
    "path", ["/mailbox", "/healthz", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/static/earshot.css"]
)
async def test_head_is_answered_as_get_without_a_body(web: httpx2.AsyncClient, path: str) -> None:
    head, get = await web.head(path), await web.get(path)
    assert (head.status_code, get.status_code, head.content) == (200, 200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (await web.head("/u/x")).status_code == 405, "the page of a link says itself what HEAD is"


async def test_browsers_are_told_to_use_https_where_the_public_address_does() -> None:
    for https in (True, False):
        async with client(bounded(https=https)) as asking:
            for path in ("/mailbox", "/nowhere", "/healthz", "/static/earshot.css"):
                assert ("strict-transport-security" in (await asking.get(path)).headers) is https


async def test_client_that_hangs_up_during_a_form_is_no_failure_of_ours() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", URLENCODED.encode()), (b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": "/u/x", "query_string": b"", "headers": headers, "client": None}
    await bounded()({**scope, "raw_path": b"/u/x", "http_version": "1.1", "scheme": "http"}, receive, send)
    assert [message["status"] for message in sent if "status" in message] == [400]
    assert problems.as_problem(ClientDisconnect()).status == 400


@pytest.mark.parametrize("length", ["", "-1", "+5", "1e3", "0x10", "٣", "5, 5", "9" * 5000])
async def test_odd_content_length_is_refused(web: httpx2.AsyncClient, length: str) -> None:
    headers = {b"content-length": length.encode()}
    assert (await web.post("/u/x", content=b"what=", headers=headers)).status_code in (400, 413)


@pytest.mark.parametrize(
    "target", ["/u/%00", "/u/%ff%fe", "/u/%ED%A0%80", "/u/" + "x" * 5000, "/u/x?a=%00", "/u/x?a=%ff&%ED%A0%80=%"]
)
async def test_odd_target_is_no_failure_of_ours(web: httpx2.AsyncClient, target: str) -> None:
    said = {"range": "bytes=5-1,-", "expect": "200-maybe", "accept": "\xff", "cookie": "operator=%00%ff; \xff=1"}
    headers = [(name.encode(), text.encode("latin-1")) for name, text in said.items()]
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PATCH", "DELETE", "TRACE"):
        assert (await web.request(method, target, headers=headers)).status_code < 500


async def test_one_path_may_take_a_larger_body_than_the_others() -> None:
    app = create_app(Service.SCORING, access=ACCESS, health=Health(), max_body=1000, larger={"/s/import": 2000})

    @app.post("/s/import")
    @app.post("/s/import/other")
    async def size(request: Request) -> int:
        return len(await request.body())

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1500
        yield b"x" * 1000

    async with client(app) as web:
        assert (await web.post("/s/import", content=b"x" * 2000)).json() == 2000
        for path, content in (("/s/import", b"x" * 2001), ("/s/import", chunks()), ("/s/import/other", b"x" * 1001)):
            assert (await web.post(path, content=content)).status_code == 413
