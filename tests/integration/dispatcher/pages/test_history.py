"""The history of an invitation, in the API and on the staff pages."""

from __future__ import annotations

from datetime import time, timedelta

import httpx2
import pytest

from services.dispatcher import history
from shared.contract.events import Contact, ContactCap, PlanStep, Window
from shared.contract.vocabulary import ChannelKind
from shared.web import links
from shared.web.links import Purpose
from shared.web.problems import Unprocessable
from tests.integration.dispatcher.conftest import (
    ADDRESS_KEYS,
    LINK_KEYS,
    NOW,
    Chain,
    answered,
    plan,
    request,
    withdrawn,
)
from tests.integration.dispatcher.pages.conftest import browser

EMAIL, SMS = ChannelKind.EMAIL, ChannelKind.SMS


async def test_history_has_steps_and_attempts_and_masks_addresses(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    await chain.tick()
    reply = await client.get(f"/v1/invitations/{asked.invitation_id}")
    history = reply.json()
    assert [(step["channel"], step["state"]) for step in history["steps"]] == [
        ("email", "sent"),
        ("email", "planned"),
        ("sms", "waiting"),
        ("call", "waiting"),
    ]
    (attempt,) = history["steps"][0]["attempts"]
    assert (attempt["number"], attempt["provider"], attempt["state"]) == (1, "mailbox", "sent")
    assert (history["state"], history["outcome"]) == ("open", None)
    assert history["contact"] == {"email": "r***@example.com", "phone": "+1***01"}
    assert "r1@example.com" not in reply.text
    assert "Petrova" not in reply.text


async def test_history_says_what_time_it_was_where_the_respondent_is(chain: Chain, client: httpx2.AsyncClient) -> None:
    late = Window(start=time(18), end=time(21))
    asked = request(
        contact=Contact(email="r1@example.com"),
        plan=[*plan((EMAIL, 0), (SMS, 1)), PlanStep(step=3, channel=EMAIL, delay_s=86400, window=late)],
        contact_caps=[ContactCap(name="one", limit=1, days=5)],
        time_zone="Asia/Tokyo",
    )
    await chain.take(asked)
    await chain.tick()
    await chain.tick_at(NOW + timedelta(days=2))
    history = (await client.get(f"/v1/invitations/{asked.invitation_id}")).json()
    assert history["send_at"] == "2026-03-02T21:00:00+09:00"
    assert history["steps"][0]["attempts"][0]["at"] == "2026-03-02T21:00:00+09:00"
    page = (await client.get(f"/invitations/{asked.invitation_id}")).text
    for text in (
        "the customer is in Asia/Tokyo",
        "1. E-mail: sent",
        "the mailbox of Earshot · sent",
        "2. SMS: skipped",
        "no address for this channel",
        "3. E-mail: planned",
        "waits for the respondent&#39;s contact hours",
        'Thu 5 Mar 2026, 09:00</time> <span class="muted">18:00 there</span>',
    ):
        assert text in page
    there = await client.get(f"/invitations/{asked.invitation_id}", headers={"cookie": "earshot-zone=Asia%2FTokyo"})
    assert "Thu 5 Mar 2026, 18:00</time>" in there.text
    assert "times in Asia/Tokyo" in there.text
    assert "18:00 there" not in there.text
    assert "r1@example.com" not in page


async def test_history_of_an_answered_invitation_links_to_the_answer(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    leads = f'href="http://127.0.0.1:8000/v1/answers?invitation={asked.invitation_id}"'
    assert leads not in (await client.get(f"/invitations/{asked.invitation_id}")).text
    await chain.take(answered(asked))
    assert leads in (await client.get(f"/invitations/{asked.invitation_id}")).text


async def test_history_says_in_words_why_an_invitation_ended(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request()
    await chain.take(asked)
    await chain.take(withdrawn(asked))
    page = (await client.get(f"/invitations/{asked.invitation_id}")).text
    assert "taken back: cancelled, reopened, erased, or withdrawn with its program</h1>" in page


async def test_invitations_of_a_guest_are_found_by_the_address(chain: Chain) -> None:
    guest = ADDRESS_KEYS.pseudonym("olga@shop.example")
    by_id = request(guest, contact=Contact(phone="+15550002"))
    by_address = request("ns:shop:7", contact=Contact(email="olga@shop.example"))
    await chain.take(by_id, by_address, request("somebody"))
    async with browser(chain, address_keys=dict(ADDRESS_KEYS.keys)) as client:
        for typed in (" Olga@Shop.example", "guest:olga@shop.example"):
            listed = (await client.get("/v1/invitations", params={"customer": typed})).json()["invitations"]
            assert {each["id"] for each in listed} == {str(each.invitation_id) for each in (by_id, by_address)}
        shown = (await client.get("/invitations", params={"customer": "olga@shop.example"})).text
    assert all(f"/invitations/{each.invitation_id}" in shown for each in (by_id, by_address))


async def test_invitations_are_found_by_customer_and_from_the_mailbox(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked, other = request("anna"), request("somebody")
    await chain.take(asked, other)
    await chain.tick()
    listed = (await client.get("/v1/invitations", params={"customer": " ANNA "})).json()["invitations"]
    assert [each["id"] for each in listed] == [str(asked.invitation_id)]
    found = (await client.get("/invitations", params={"customer": "anna"})).text
    assert f"/invitations/{asked.invitation_id}" in found
    assert str(other.invitation_id) not in found
    for outcome, those in (("open", [other, asked]), ("exhausted", [])):
        listed = (await client.get("/v1/invitations", params={"outcome": outcome})).json()["invitations"]
        assert {each["id"] for each in listed} == {str(each.invitation_id) for each in those}
    assert (await client.get("/v1/invitations", params={"outcome": "lost"})).status_code == 422
    assert "No invitation has this outcome." in (await client.get("/invitations?customer=anna&outcome=answered")).text
    none = (await client.get("/invitations", params={"customer": "<b>nobody"})).text
    assert "no invitation here" in none
    assert 'href="http://127.0.0.1:8000/decisions?customer=%3Cb%3Enobody"' in none
    latest = (await client.get("/invitations")).text
    assert all(f"/invitations/{each.invitation_id}" in latest for each in (asked, other))
    assert ">somebody<" in latest
    (message,) = [m for m in (await client.get("/v1/mailbox")).json()["messages"] if m["to"].startswith("anna")]
    assert f'href="/invitations/{asked.invitation_id}"' in (await client.get(f"/mailbox/{message['id']}")).text


async def test_shop_gets_the_link_of_an_open_invitation_only(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request("anna")
    await chain.take(asked)
    token = links.token(LINK_KEYS, "dev", Purpose.ANSWER, asked.invitation_id)
    for wanted in ({"invitation_id": str(asked.invitation_id), "step": 2}, {"customer": "anna"}):
        given = (await client.post("/v1/links", json=wanted)).json()
        assert given["invitation_id"] == str(asked.invitation_id)
        assert given["url"] == f"http://127.0.0.1:8000/s/{token}.{wanted.get('step', 0)}"
    refused = await client.post("/v1/links", json={"customer": "anna", "step": 7})
    assert (refused.status_code, refused.json()["title"]) == (422, "No such step")
    for unknown in ("nobody", "Anna"):  # the case of ids counts
        assert (await client.post("/v1/links", json={"customer": unknown})).status_code == 404
    assert (await client.post("/v1/links", json={})).status_code == 422
    await chain.take(answered(asked))
    assert (await client.post("/v1/links", json={"customer": "anna"})).status_code == 404


async def test_nobody_gets_the_link_of_an_anonymous_survey(chain: Chain, client: httpx2.AsyncClient) -> None:
    await chain.take(request("anna", anonymous=True))
    refused = await client.post("/v1/links", json={"customer": "anna"})
    assert (refused.status_code, refused.json()["title"]) == (409, "This survey is anonymous")


@pytest.mark.parametrize(("id_", "status"), [("0198d3a0-0000-7000-8000-00000000dead", 404), ("x", 422)])
async def test_history_of_an_unknown_invitation_is_a_problem(client: httpx2.AsyncClient, id_: str, status: int) -> None:
    reply = await client.get(f"/v1/invitations/{id_}")
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("damaged", ["{}", "[1]", '{"customer_id": 5, "send_at": "never"}'])
async def test_invalid_stored_request_hides_no_other_history(chain: Chain, damaged: str) -> None:
    bad, good = request("bad"), request("good")
    await chain.take(bad, good)
    await chain.rows("UPDATE invitations SET request = $2::text::jsonb WHERE id = $1", bad.invitation_id, damaged)
    async with chain.database.sessions.begin() as session:
        listed = {each.id: each for each in (await history.newest(session, ADDRESS_KEYS)).invitations}
        assert listed[good.invitation_id].send_at == good.send_at
        assert listed[bad.invitation_id].customer_id == ""
        assert (await history.of_invitation(session, good.invitation_id)).customer_id == "good"
        with pytest.raises(Unprocessable):
            await history.of_invitation(session, bad.invitation_id)
