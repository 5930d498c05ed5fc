"""Arbitrary input to any route causes a client error, never a server error."""

from __future__ import annotations

import httpx2
import pytest

from tests.integration.scoring.stand import Scoring, call_for, link_of

QUERIES = [
    "by=nobody",
    "by=",
    "period=",
    "period=year",
    "from=yesterday",
    "from=9999-12-31&to=9999-12-31",
    "from=0001-01-01",
    "from=0001-01-01&by=store&period=week",
    f"from={'9' * 400}",
    f"after={'f' * 400}",
    "after=ffffffff-ffff-ffff-ffff-ffffffffffff",
    f"limit={'9' * 400}",
    f"limit={'9' * 5000}",
    f"days={'9' * 5000}",
    "limit=-1",
    "program=%ff%fe",
    "program=%ED%A0%80",
    f"program={'x' * 201}",
    "program=%00",
    f"score={'9' * 5000}",
    "try=%D9%A3",
    "said=%ED%A0%80",
]
BODIES = [
    b'{"operator": "Anna\\u0000"}',
    b'{"operator": "\\ud800"}',
    b'{"operator": ' + b"9" * 400 + b"}",
    b'{"operator": ' + b"9" * 5000 + b"}",
    b'{"operator": NaN}',
    b"[" * 50_000,
    b"\xff\xfe",
    b"null",
    b'{"operator": "Anna", "score": ' + b"9" * 400 + b"}",
    b'{"operator": "Anna", "score": 1e400}',
    b'{"operator": "Anna", "score": 9, "comment": "\\u0000"}',
    b'{"operator": "Anna", "score": 9, "comment": "\\ud800"}',
    b'{"operator": "Anna", "score": 9, "reasons": ["\\u0000"]}',
    b'{"operator": "Anna", "disposition": "busy", "minutes": 1e9}',
    b'{"operator": "Anna\\u0000", "disposition": "busy"}',
]
KINDS = [
    "application/json",
    "application/json; charset=unicode_escape",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "junk",
]
FORMS = [
    *(f"score=9&comment={text}" for text in ("%ED%A0%80", "%00", "\\ud800", "x" * 5000)),
    "score=" + "9" * 5000,
    "score=%D9%A9",
    "operator=%ED%A0%80%00",
    "disposition=busy&minutes=" + "9" * 5000,
    "disposition=busy&minutes=%00",
    "&" * 50_000,
]
CHARSETS = ["unicode_escape", "utf-7", "idna", "rot13", "punycode", "utf-16", "hex", "undefined", "nobody"]
PARTS = "".join(
    f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{said}\r\n'
    for name, said in (("score", "9"), ("comment", "\\ud800 +2AA- \\x00 xn--a"), ("operator", "+2AA- \\ud800"))
)


@pytest.mark.parametrize("path", ["/v1/nps", "/v1/answers", "/", "/desk", "/s/junk.1", "link"])
async def test_arbitrary_query_causes_no_server_error(path: str, scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    await scoring.score(request, 9)
    path = link_of(request.invitation_id) if path == "link" else path
    for query in QUERIES:
        response = await client.get(f"{path}?{query}")
        assert response.status_code < 500, (query, response.text)


@pytest.mark.parametrize("path", ["/v1/desk/take", "answer", "outcome", "/desk/take", "by hand", "link", "stop"])
async def test_arbitrary_body_causes_no_server_error(path: str, scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await scoring.asked()
    call = call_for(request)
    await scoring.receive(call)
    paths = {
        "answer": f"/v1/desk/{call.task_id}/answer",
        "outcome": f"/v1/desk/{call.task_id}/outcome",
        "by hand": f"/desk/{call.task_id}/answer",
        "link": link_of(request.invitation_id),
        "stop": f"{link_of(request.invitation_id)}/stop",
    }
    where = paths.get(path, path)
    assert (await client.post("/v1/desk/take", json={"operator": "Anna"})).status_code == 200
    client.cookies.set("operator", "Anna")
    sent = [(body, kind) for body in BODIES for kind in KINDS]
    sent += [(form.encode(), KINDS[2]) for form in FORMS]
    sent += [
        (f"{PARTS}--b--\r\n".encode(), f"multipart/form-data; boundary=b; charset={charset}") for charset in CHARSETS
    ]
    broken = []
    for body, kind in sent:
        response = await client.post(where, content=body, headers={"content-type": kind})
        if response.status_code >= 500:
            broken.append((body[:60], kind, response.status_code))
    assert broken == []
