"""The mailbox: messages kept instead of sent, in the API and on the staff pages."""

from __future__ import annotations

import httpx2

from tests.integration.dispatcher.conftest import Chain, request
from tests.integration.dispatcher.pages.conftest import browser, unsubscribe_path


async def test_mailbox_is_read_by_cursor_in_order_of_arrival(chain: Chain, client: httpx2.AsyncClient) -> None:
    await chain.take(*(request(f"r{number}") for number in range(5)))
    await chain.tick()
    first = (await client.get("/v1/mailbox", params={"limit": 3})).json()["messages"]
    rest = (await client.get("/v1/mailbox", params={"after": first[-1]["cursor"]})).json()["messages"]
    assert (len(first), len(rest)) == (3, 2)
    cursors = [message["cursor"] for message in first + rest]
    assert cursors == sorted(cursors)
    assert {message["to"] for message in first + rest} == {f"r{number}@example.com" for number in range(5)}
    assert all("?score=10" in message["text"] and message["html"] for message in first)
    assert first[0].keys() == {
        "cursor", "id", "invitation_id", "step", "channel", "to", "subject", "text", "html", "at",
    }  # fmt: skip


async def test_mail_is_shown_as_respondents_see_it_and_runs_nothing(chain: Chain, client: httpx2.AsyncClient) -> None:
    await chain.take(request())
    await chain.tick()
    (message,) = (await client.get("/v1/mailbox")).json()["messages"]
    listed = (await client.get("/mailbox")).text
    assert f"/mailbox/{message['id']}" in listed
    page = (await client.get(f"/mailbox/{message['id']}")).text
    assert f'src="/mailbox/{message["id"]}/html"' in page
    assert "Link to unsubscribe" in page
    mail = await client.get(f"/mailbox/{message['id']}/html")
    assert "script-src" not in mail.headers["content-security-policy"]
    assert mail.headers["content-security-policy"].startswith("default-src 'none'")
    assert "?score=10" in mail.text


async def test_text_message_is_shown_with_its_link(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request(contact={"phone": "+15550001"})
    await chain.take(asked)
    await chain.tick()
    (message,) = (await client.get("/v1/mailbox")).json()["messages"]
    assert (message["channel"], message["html"], message["subject"]) == ("sms", False, "")
    page = (await client.get(f"/mailbox/{message['id']}")).text
    answer, stop = [word for word in message["text"].split() if word.startswith("http")]
    assert all(f'<a href="{link}"' in page for link in (answer, stop))
    assert (await client.get(stop[stop.index("/u/") :])).status_code == 200
    assert (await client.get(f"/mailbox/{message['id']}/html")).status_code == 404


async def test_staff_pages_need_a_ticket_and_the_unsubscribe_page_does_not(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    page = f"/invitations/{asked.invitation_id}"
    async with browser(chain, auth=None) as stranger:
        for path in (
            "/mailbox",
            "/v1/mailbox",
            "/invitations",
            page,
            f"/v1{page}",
            "/v1/invitations?customer=r1",
        ):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.post("/v1/links", json={"customer": "r1"})).status_code == 401
        assert (await stranger.get(unsubscribe_path(asked.invitation_id))).status_code == 200
