"""Suppressions on the staff page and in the API, and after an erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest

from services.dispatcher import main
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.receipts import ReceiptKind
from shared.contract.events import RespondentErased
from shared.contract.vocabulary import ChannelKind
from shared.database.db import fetch
from tests.audit import ended
from tests.integration.dispatcher.conftest import Chain, RememberingAccount, plan, request
from tests.integration.dispatcher.test_receipts import Receiver, sent
from tests.integration.dispatcher.test_stopped_programs import publish
from tests.staff import STAFF
from tests.staff_pages import done_on, undo


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[httpx2.AsyncClient]:
    settings = DispatcherSettings(_env_file=None)
    app = main.build_app(settings, chain.database, chain.clock)
    async with httpx2.AsyncClient(
        auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://localhost"
    ) as opened:
        yield opened


async def test_api_lists_masked_suppressions_and_releases_one(chain: Chain, client: httpx2.AsyncClient) -> None:
    receiver = Receiver(chain)
    for number in range(2):
        await receiver.told(ReceiptKind.COMPLAINT, await sent(chain, request(f"r{number}@example.com")))
    everything = (await client.get("/v1/suppressions", params={"reason": "complaint"})).json()["suppressions"]
    assert [each["respondent_id"] for each in everything] == ["r***@example.com"] * 2
    found = (await client.get("/v1/suppressions", params={"respondent": "R1@example.com "})).json()["suppressions"]
    assert [(each["channel"], each["reason"], each["until"]) for each in found] == [("email", "complaint", None)]
    path = f"/v1/suppressions/{found[0]['id']}"
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    (released,) = await chain.published("respondent.released")
    assert (released.respondent_id, released.reason) == ("r1@example.com", "complaint")
    assert (await client.delete(f"/v1/suppressions/{uuid4()}")).status_code == 404


async def test_staff_release_a_suppression_on_its_page(chain: Chain, client: httpx2.AsyncClient) -> None:
    await Receiver(chain).told(ReceiptKind.HARD_BOUNCE, await sent(chain, request()))
    shown = (await client.get("/suppressions", params={"customer": "R1"})).text
    assert "no such address" in shown
    assert await chain.published("respondent.released") == []
    (row,) = await chain.rows("SELECT id FROM suppressions")
    lifted = await client.post(f"/suppressions/{row['id']}/release")
    assert "Nobody yet" in lifted.text
    assert (await client.post(f"/suppressions/{row['id']}/release")).status_code == 200
    assert len(await chain.published("respondent.released")) == 1
    assert [act[2] for act in await ended(chain.database)] == ["{}", '{"stored":false}']
    assert (await client.get("/suppressions")).text.count("a suppression was lifted") == 1


async def test_page_says_the_title_of_the_program_and_its_id_where_it_has_none(
    chain: Chain, client: httpx2.AsyncClient
) -> None:
    await Receiver(chain).told(ReceiptKind.HARD_BOUNCE, await sent(chain, request()))
    async with chain.database.sessions.begin() as session:
        await fetch(session, "UPDATE suppressions SET program = 'after-visit'")
    assert "of after-visit" in (await client.get("/suppressions")).text
    await publish(chain, None, "after-visit")
    page = (await client.get("/suppressions")).text
    assert ("of Purchase" in page, "after-visit" in page) == (True, False)


@pytest.mark.parametrize("kind", [ReceiptKind.HARD_BOUNCE, ReceiptKind.COMPLAINT])
async def test_suppression_that_was_lifted_is_put_back_with_its_addresses(
    chain: Chain, client: httpx2.AsyncClient, kind: ReceiptKind
) -> None:
    await Receiver(chain).told(kind, await sent(chain, request("ann@example.com")))
    stored = "SELECT respondent_id, channel, program, reason, until FROM suppressions"
    bound = "SELECT fingerprint FROM bound_addresses ORDER BY fingerprint"
    before, addresses = await chain.rows(stored), await chain.rows(bound)
    (row,) = await chain.rows("SELECT id FROM suppressions")
    lifted = (await client.post(f"/suppressions/{row['id']}/release")).text
    assert done_on(lifted).startswith("You lifted the suppression")
    assert "ann@example.com" not in lifted
    back = await undo(client, lifted)
    assert (back.status_code, back.headers["location"]) == (303, "/suppressions")
    assert (await chain.rows(stored), await chain.rows(bound)) == (before, addresses)
    assert len(await chain.published("respondent.suppressed")) == 2
    page = (await client.get("/suppressions")).text
    assert done_on(page).startswith("Undone: the suppression holds again")
    for act in ("a suppression was lifted", "a lifted suppression was put back"):
        assert f"{act} (a***@example.com), by software" in page


async def test_invented_suppression_is_not_put_back(chain: Chain, client: httpx2.AsyncClient) -> None:
    refused = await client.post("/suppressions/restore", data={"sealed": '{"respondent_id":"r1","reason":"opt_out"}'})
    assert refused.status_code == 409
    assert await chain.rows("SELECT 1 FROM suppressions") == []


async def test_suppression_of_a_customer_who_was_erased_meanwhile_is_not_put_back(
    chain: Chain, client: httpx2.AsyncClient
) -> None:
    await Receiver(chain).told(ReceiptKind.COMPLAINT, await sent(chain, request("ann@example.com")))
    (row,) = await chain.rows("SELECT id, respondent_id FROM suppressions")
    lifted = (await client.post(f"/suppressions/{row['id']}/release")).text
    await chain.take(RespondentErased(respondent_id=row["respondent_id"]))
    assert (await undo(client, lifted)).status_code == 409
    assert await chain.rows("SELECT 1 FROM suppressions") == []


async def test_suppression_is_put_back_by_who_lifted_it_just_before_and_once(
    chain: Chain, client: httpx2.AsyncClient
) -> None:
    await Receiver(chain).told(ReceiptKind.COMPLAINT, await sent(chain, request("ann@example.com")))
    (row,) = await chain.rows("SELECT id FROM suppressions")
    lifted = (await client.post(f"/suppressions/{row['id']}/release")).text
    kept = client.cookies
    client.cookies = httpx2.Cookies()
    assert (await undo(client, lifted)).status_code == 409
    client.cookies = kept
    assert (await undo(client, lifted)).status_code == 303
    assert (await undo(client, lifted)).status_code == 409


async def test_longer_suppression_replaces_a_shorter_one_and_never_the_reverse(chain: Chain) -> None:
    receiver = Receiver(chain)
    asked = await sent(chain, request(plan=plan((ChannelKind.EMAIL, 0), (ChannelKind.EMAIL, 1))))
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked)
    ((_, _, first),) = await receiver.suppressions()
    chain.clock.moment = first.replace(year=first.year - 1, hour=first.hour + 1)
    again = await sent(chain, request(contact={"email": "R1@Example.com "}))  # the same address, spelled differently
    assert (await chain.step(again.invitation_id, 1))["state"] == "skipped"
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked)
    ((_, _, second),) = await receiver.suppressions()
    assert second > first
    assert len(await chain.published("respondent.suppressed")) == 2


async def test_erasure_deletes_fingerprints_and_keeps_the_suppression(chain: Chain) -> None:
    receiver = Receiver(chain)
    asked = request(plan=plan((ChannelKind.EMAIL, 0), (ChannelKind.SMS, 0)))
    await sent(chain, asked, email=RememberingAccount(), sms=RememberingAccount(channel=ChannelKind.SMS))
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked)
    await chain.take(RespondentErased(respondent_id="r1"))
    assert await chain.rows("SELECT 1 FROM attempts WHERE phone IS NOT NULL") == []
    assert await chain.rows("SELECT 1 FROM suppressions WHERE address IS NOT NULL") == []
    later = request(contact={"email": "other@example.com"})
    await chain.take(later)
    await chain.tick(email=RememberingAccount())
    assert (await chain.step(later.invitation_id, 1))["reason"] == "suppressed"
