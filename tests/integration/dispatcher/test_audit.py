"""Whom dispatcher's audit log is about: a random id, whose link to the person goes with the erasure."""

from __future__ import annotations

import httpx2

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.receipts import ReceiptKind
from services.dispatcher.main import build_app
from shared.contract.events import Contact, RespondentErased
from tests.audit import audit_rows, everything_written
from tests.integration.dispatcher.conftest import Chain, request
from tests.integration.dispatcher.test_receipts import Receiver, sent
from tests.staff import STAFF

EMAIL = "wanda.k@example.com"


def client(chain: Chain) -> httpx2.AsyncClient:
    app = build_app(DispatcherSettings(_env_file=None), chain.database, chain.clock)
    return httpx2.AsyncClient(auth=STAFF, transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8002")


async def test_customer_of_a_link_and_of_a_suppression_has_one_random_id_until_the_erasure(chain: Chain) -> None:
    asked = request("ns:shop:77001", customer_id="77001", customer_name="Wanda", contact=Contact(email=EMAIL))
    await sent(chain, asked)
    await Receiver(chain).told(ReceiptKind.HARD_BOUNCE, asked)
    async with client(chain) as web:
        assert (await web.post("/v1/links", json={"invitation_id": str(asked.invitation_id)})).status_code == 200
        [suppressed] = (await web.get("/v1/suppressions", params={"reason": "hard_bounce"})).json()["suppressions"]
        assert (await web.delete(f"/v1/suppressions/{suppressed['id']}")).status_code == 204
        found = (await web.get("/audit/dispatcher", params={"customer": "ns:shop:77001"})).text
        assert ("POST /v1/links" in found, "DELETE /v1/suppressions" in found) == (True, True)
        assert "No act is recorded" in (await web.get("/audit/dispatcher", params={"customer": "77002"})).text
    rows = await audit_rows(chain.database)
    assert [(each.action, each.subject) for each in rows if each.stage == "ended"] == [
        ("POST /v1/links", str(asked.invitation_id)),
        ("DELETE /v1/suppressions/{suppression_id}", suppressed["id"]),
    ]
    [customer] = {each.customer for each in rows if each.customer}
    assert await chain.rows("SELECT id, respondent_id FROM audit_customers") == [
        {"id": customer, "respondent_id": "ns:shop:77001"}
    ]
    written = await everything_written(chain.database)
    assert not [word for word in ("77001'", "ns:shop", EMAIL, "Wanda") if word in written]

    await chain.take(RespondentErased(respondent_id="ns:shop:77001"))

    assert await chain.rows("SELECT * FROM audit_customers") == []
    assert await everything_written(chain.database) == written
