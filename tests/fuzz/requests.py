"""Raw HTTP requests with strange headers, and a client that sends them as they stand."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

HOSTS = (
    *(
        "[",
        "]",
        "[::1]",
        "[::1]:80",
        "[abc]",
        "localhost",
        "LOCALHOST:1",
        "evil.example",
        "a b",
        "a:b",
        "a@b",
        "a/b",
        "ä",
    ),
    *("127.0.0.1:99999", "", "x" * 5000, "127.0.0.1\r\nHost: evil.example", "%00", "xn--a", "1", "0x7f000001", "//"),
)
ORIGINS = (
    "http://[",
    "http://[abc]",
    "null",
    "",
    "http://",
    "http://evil.example",
    "http://a:b",
    "\\",
    "x" * 3000,
    "//",
    "файл:",
)
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
        "unicode_escape",
        "undefined",
        "utf-16",
    ),
    *("utf-32", "cp037", "windows-1251", "x-none", "mbcs", "\x00", "", '"', "utf-8''punycode", "utf-8; charset=idna"),
)
TYPES = (
    *(
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "text/plain",
        "",
        ";",
        "a/b/c",
    ),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data", "application/xml"),
    *('multipart/form-data; boundary="' + ";" * 2000, "multipart/form-data; boundary=" + "b" * 2000, "avro/binary"),
)
TEXTS = (
    "",
    " ",
    "\xff",
    "%",
    "%ff",
    "\t",
    "x" * 3000,
    "0",
    "-1",
    "9" * 400,
    "null",
    "é",
    '"',
    "\\",
    "=?utf-8?b?////?=",
    ";=,",
    "[",
    "{}",
)
HEADERS = (
    *(
        "accept",
        "accept-language",
        "accept-encoding",
        "authorization",
        "cookie",
        "expect",
        "range",
        "if-range",
        "if-none-match",
    ),
    *(
        "if-modified-since",
        "user-agent",
        "referer",
        "x-forwarded-for",
        "x-forwarded-proto",
        "forwarded",
        "via",
        "upgrade",
        "te",
    ),
    *(
        "connection",
        "sec-fetch-site",
        "sec-ch-ua-mobile",
        "content-encoding",
        "content-language",
        "idempotency-key",
        "date",
    ),
    *(
        "traceparent",
        "ce-id",
        "ce-type",
        "ce-source",
        "ce-time",
        "ce-specversion",
        "x-shopify-topic",
        "x-wc-webhook-topic",
    ),
    *(
        "x-twilio-signature",
        "x-amz-sns-message-type",
        "x-http-method-override",
        "last-event-id",
        "origin",
        "content-type",
    ),
)
VALUES = (
    *(
        "bytes=0-0",
        "bytes=9-1,-,--5",
        "bytes=-99999999999999999999",
        "100-continue",
        "200-maybe",
        "Basic ====",
        "Basic YQ==",
        "Bearer ",
    ),
    *(
        "Bearer esk_" + "x" * 40,
        'operator="' + "\\" * 500 + '"',
        "operator=%00%ff",
        "operator=\xff; =; ;",
        "ru;q=x,*;q=9",
        "br, gzip;q=2",
    ),
    *(
        "8.8.8.8:1, [::1]:2, unknown",
        "websocket",
        "h2c",
        "trailers",
        "close, upgrade",
        "Thu, 99 Foo 2026 99:99:99 GMT",
        '"',
        "W/",
        "gzip",
    ),
    *(
        "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
        "2026-13-01T99:99:99Z",
        "1.0",
        "crm.purchase.completed",
        "orders/fulfilled",
        "Googlebot/2.1",
    ),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X")
UNANSWERED_S = 0.3  # how long an answer to a request that is not whole is waited for
LONGEST_S = 30.0


@dataclass(frozen=True, slots=True)
class HttpInput:
    """`whole` says that the server has all that it needs to answer."""

    door: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raw: bytes = b""  # in place of all of these
    whole: bool = True

    def written(self, host: str) -> bytes:
        if self.raw:
            return self.raw
        given = {name.lower() for name, _ in self.headers}
        own = [("host", host)] if "host" not in given else []
        if self.body and not given & {"content-length", "transfer-encoding"}:
            own.append(("content-length", str(len(self.body))))
        if "connection" not in given:
            own.append(("connection", "close"))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {text}" for name, text in (*own, *self.headers))]
        return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True, slots=True)
class HttpResult:
    status: int  # 0 without an answer
    seconds: float
    body: bytes = b""


def varied(made: HttpInput, chance: random.Random) -> HttpInput:
    """Change method, Host, Origin, content type or other headers of a request; most requests stay or change once."""
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 4))):
        match chance.randrange(9):
            case 0:
                made = replace(made, method=chance.choice(METHODS))
            case 1:
                made = _with(made, "host", chance.choice(HOSTS))
            case 2:
                made = _with(made, "origin", chance.choice(ORIGINS))
            case 3:
                made = _with(made, "content-type", chance.choice(TYPES))
            case 4:
                kind = next((text for name, text in made.headers if name == "content-type"), chance.choice(TYPES))
                made = _with(made, "content-type", f"{kind}; charset={chance.choice(CODECS)}")
            case 5:
                made = replace(
                    made, headers=(*made.headers, *made.headers[:1], (chance.choice(HEADERS), chance.choice(VALUES)))
                )
            case 6:
                made = replace(made, target=_target(made.target, chance))
            case 7:
                made = _with(made, chance.choice(HEADERS), chance.choice(TEXTS))
            case _:
                made = _with(made, chance.choice(HEADERS), chance.choice(VALUES))
    return _cut(made, chance) if chance.random() < 0.04 else made


def _with(made: HttpInput, name: str, text: str) -> HttpInput:
    return replace(made, headers=(*(each for each in made.headers if each[0] != name), (name, text)))


def _target(target: str, chance: random.Random) -> str:
    added = (
        "%00",
        "%ff%fe",
        "%ED%A0%80",
        "?a=%00",
        "?&&==",
        "/",
        "//",
        "/..",
        "?" + "a=1&" * 300,
        "%",
        "#x",
        "?a[]=1",
        "x" * 4000,
        ";x",
        "\\",
    )
    place = chance.choice((len(target), len(target), chance.randrange(1, len(target) + 1)))
    return target[:place] + chance.choice(added) + target[place:]


def _cut(made: HttpInput, chance: random.Random) -> HttpInput:
    """Hang up in the middle, announce another length, or damage the bytes of the request."""
    written = made.written("127.0.0.1")
    match chance.randrange(4):
        case 0:
            return replace(made, raw=written[: chance.randrange(1, len(written) + 1)], whole=False)
        case 1:
            length = chance.choice(("0", "1", "-1", "99999999999", "x", "9" * 100, "5, 5", "", "+1", "0x5"))
            return replace(_with(made, "content-length", length), whole=False)
        case 2:
            chunks = chance.choice(
                (b"0\r\n\r\n", b"zz\r\n", b"5;a=b\r\nabcde\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\n", b"")
            )
            return replace(
                _with(made, "transfer-encoding", chance.choice(("chunked", "gzip", "x, chunked"))),
                body=chunks,
                whole=False,
            )
        case _:
            place = chance.randrange(len(written))
            return replace(
                made,
                raw=written[:place] + chance.randbytes(chance.choice((1, 4, 40))) + written[place + 1 :],
                whole=False,
            )


async def exchange(made: HttpInput, port: int) -> HttpResult:
    """Send a request over a connection of its own and return what came until the server closed it."""
    began, within = time.monotonic(), LONGEST_S if made.whole else UNANSWERED_S
    received = b""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    writer.write(made.written(f"127.0.0.1:{port}"))
                    while piece := await reader.read(1 << 20):
                        received += piece
                        if _is_whole(received, made):
                            break
        finally:
            writer.close()
    status = received[9:12]
    return HttpResult(
        int(status) if status.isdigit() else 0, time.monotonic() - began, received.partition(b"\r\n\r\n")[2]
    )


def _is_whole(received: bytes, made: HttpInput) -> bool:
    """Whether more need not be read: a stream has no end, and a kept connection is closed late."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end or head.startswith(b"HTTP/1.1 100"):
        return False
    lower = head.lower()
    if b"text/event-stream" in lower or made.method == "HEAD" or b"\r\ncontent-length: 0" in lower:
        return True
    announced = [line.partition(b":")[2] for line in lower.split(b"\r\n") if line.startswith(b"content-length:")]
    if announced:
        return len(body) >= int(announced[0])
    return body.endswith(b"0\r\n\r\n") or lower[9:12] in (b"204", b"304")


def form(fields: Sequence[tuple[str, str]], chance: random.Random) -> tuple[str, bytes]:
    """Write fields as a form of either kind; return its content type and body."""
    if chance.random() < 0.7:
        pairs = (f"{_quoted(name)}={_quoted(text)}" for name, text in fields)
        return "application/x-www-form-urlencoded", "&".join(pairs).encode()
    parts = (f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields)
    return "multipart/form-data; boundary=b", "".join(parts).encode(errors="replace") + b"--b--\r\n"


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))
