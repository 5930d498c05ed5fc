"""What dispatcher holds about a customer: on a page, and whole in an export."""

from __future__ import annotations

import httpx2

from services.dispatcher.domain.receipts import ReceiptKind
from shared.contract.events import Contact
from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import Chain, RememberingAccount, plan, request
from tests.integration.dispatcher.test_receipts import Receiver

CONTACT = Contact(email="wanda@shop.example", phone="+15557654321")


async def test_all_that_was_sent_to_a_customer_is_shown_and_exported(chain: Chain, client: httpx2.AsyncClient) -> None:
    sent = request("r1", contact=CONTACT, plan=plan((ChannelKind.EMAIL, 0), (ChannelKind.SMS, 0)))
    kept, other = request("r1", contact=CONTACT), request("r2", contact=Contact(email="other@shop.example"))
    await chain.take(sent)
    await chain.tick(email=RememberingAccount(), sms=RememberingAccount(channel=ChannelKind.SMS))
    await chain.take(kept, other)
    await chain.tick()
    await Receiver(chain).told(ReceiptKind.COMPLAINT, sent)
    page = (await client.get("/customer/dispatcher", params={"id": "r1"})).raise_for_status().text
    for shown in ("Survey of", "E-mail, step 1: ", "kept in the mailbox", "Not contacted: reported a mail as spam"):
        assert (shown, shown in page) == (shown, True)
    exported = (await client.get("/v1/customer-dispatcher", params={"id": "r1"})).json()
    requests = [each["data"]["request"] for each in exported["entries"] if "request" in each["data"]]
    assert [each["contact"]["email"] for each in requests] == ["wanda@shop.example"] * 2
    assert "other@shop.example" not in page + str(exported)
    assert [each["name"] for each in exported["places"]] == ["remembering"]


async def test_nothing_is_held_about_somebody_unknown(client: httpx2.AsyncClient) -> None:
    exported = (await client.get("/v1/customer-dispatcher", params={"id": "nobody"})).json()
    assert (exported["facts"], exported["entries"], exported["places"]) == ([], [], [])
    assert (await client.get("/v1/customer-dispatcher")).status_code == 422
