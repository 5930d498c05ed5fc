"""What somebody sees of invitations who sees only some programs or stores, and tickets that an event has outdated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import httpx2

from services.dispatcher.domain.receipts import ReceiptKind
from shared.contract.events import Contact, ProgramRef, StaffChanged
from shared.contract.vocabulary import Role
from shared.database import staff
from shared.web.staff.tickets import Ticket, TicketSigner
from tests.integration.dispatcher.conftest import ADDRESS_KEYS, Chain, request
from tests.integration.dispatcher.pages.conftest import browser, settings
from tests.integration.dispatcher.test_receipts import Receiver, sent

PERSON = uuid4()


@asynccontextmanager
async def signed_in(
    chain: Chain, *, revision: int = 7, is_scoped: bool = True, **settings_: object
) -> AsyncIterator[httpx2.AsyncClient]:
    roles = frozenset([Role.SUPERVISOR])
    ticket = Ticket(PERSON, "Vera", roles, datetime.now(UTC), uuid4(), revision=revision, is_scoped=is_scoped)
    async with browser(chain, auth=None, **settings_) as opened:
        opened.cookies.set("earshot", TicketSigner(settings().ticket_secrets).sign(ticket))
        yield opened


async def told(chain: Chain, *, revision: int = 7, **scope: list[str] | None) -> None:
    async with chain.database.sessions.begin() as session:
        await staff.store(session, [StaffChanged(person_id=PERSON, revision=revision, **scope)])


async def test_invitations_of_other_stores_are_not_shown_whatever_is_asked(chain: Chain) -> None:
    mine = request("r1", segments={"store": "Arbat"})
    of_mine_elsewhere = request("r1", segments={"store": "Nevsky"})
    elsewhere = request("r2", segments={"store": "Nevsky"})
    without = request("r3", segments={}, program=ProgramRef(id="bank", version=1))
    await chain.take(mine, of_mine_elsewhere, elsewhere, without)
    await told(chain, stores=["Arbat"])
    async with signed_in(chain) as vera:
        everything = (await vera.get("/v1/invitations")).json()
        assert [each["id"] for each in everything["invitations"]] == [str(mine.invitation_id)]
        assert everything["elsewhere"] == 0
        for customer, shown, hidden in (("r1", 1, 1), ("r2", 0, 0), ("r3", 0, 0)):
            found = (await vera.get("/v1/invitations", params={"customer": customer})).json()
            assert (customer, len(found["invitations"]), found["elsewhere"]) == (customer, shown, hidden)
        by_outcome = (await vera.get("/v1/invitations", params={"customer": "r1", "outcome": "open"})).json()
        assert (len(by_outcome["invitations"]), by_outcome["elsewhere"]) == (
            1,
            0,
        )  # what became of it there is not told
        page = (await vera.get("/invitations", params={"customer": "r1"})).text
        assert ("1 more elsewhere" in page, str(of_mine_elsewhere.invitation_id) in page) == (True, False)
        for each in (of_mine_elsewhere, elsewhere, without):
            assert (await vera.get(f"/v1/invitations/{each.invitation_id}")).status_code == 404
            assert (await vera.get(f"/invitations/{each.invitation_id}")).status_code == 404
        assert (await vera.get(f"/v1/invitations/{mine.invitation_id}")).status_code == 200
        for path in ("/mailbox", "/suppressions", "/replies", "/mail", "/v1/mailbox"):
            assert (path, (await vera.get(path)).status_code) == (path, 403)


async def test_lists_name_the_person_who_has_changed_something(chain: Chain, client: httpx2.AsyncClient) -> None:
    asked = request("r1", contact=Contact(email="anna@shop.example"))
    await sent(chain, asked)
    await Receiver(chain).told(ReceiptKind.HARD_BOUNCE, asked)
    [suppressed] = (await client.get("/v1/suppressions")).json()["suppressions"]
    await told(chain)
    async with signed_in(chain, is_scoped=False) as vera:
        assert "by you" not in (await client.get("/suppressions")).text
        assert (await vera.post(f"/suppressions/{suppressed['id']}/release")).status_code == 200
        assert "by you" in (await vera.get("/suppressions")).text
    assert "by Vera" in (await client.get("/suppressions")).text


async def test_made_up_id_does_not_tell_where_somebody_with_the_same_address_was_asked(chain: Chain) -> None:
    address = Contact(email="target@shop.example")
    made_up = request("made-up", contact=address, segments={"store": "Arbat"})
    await chain.take(made_up, request("t-1", contact=address, segments={"store": "Nevsky"}))
    await told(chain, stores=["Arbat"])
    async with signed_in(chain, address_keys=dict(ADDRESS_KEYS.keys)) as vera:
        found = (await vera.get("/v1/invitations", params={"customer": "target@shop.example"})).json()
    assert ([each["id"] for each in found["invitations"]], found["elsewhere"]) == ([str(made_up.invitation_id)], 0)


async def test_sale_under_somebodys_address_does_not_tell_where_that_person_buys(chain: Chain) -> None:
    guest = ADDRESS_KEYS.pseudonym("target@shop.example")
    mine = request(guest, segments={"store": "Arbat"})
    await chain.take(mine, request(guest, segments={"store": "Nevsky"}))
    await told(chain, stores=["Arbat"])
    async with signed_in(chain, address_keys=dict(ADDRESS_KEYS.keys)) as vera:
        found = (await vera.get("/v1/invitations", params={"customer": "target@shop.example"})).json()
    assert ([each["id"] for each in found["invitations"]], found["elsewhere"]) == ([str(mine.invitation_id)], 0)


async def test_own_invitation_is_found_behind_many_newer_ones_elsewhere(chain: Chain) -> None:
    mine = request("r1", segments={"store": "Arbat"})
    await chain.take(mine)
    await chain.take(*(request("r1", segments={"store": "Nevsky"}) for _ in range(101)))
    await told(chain, stores=["Arbat"])
    async with signed_in(chain) as vera:
        found = (await vera.get("/v1/invitations", params={"customer": "r1"})).json()
        assert [each["id"] for each in found["invitations"]] == [str(mine.invitation_id)]


async def test_outcome_is_looked_for_among_what_is_seen(chain: Chain) -> None:
    asked = [request(f"r{number}", program=ProgramRef(id=program, version=1)) for number, program in enumerate("ab")]
    await chain.take(*asked)
    await told(chain, programs=["a"])
    async with signed_in(chain) as vera:
        for outcome, count in (("open", 1), ("withdrawn", 0)):
            found = (await vera.get("/v1/invitations", params={"outcome": outcome})).json()["invitations"]
            assert [each["program"] for each in found] == ["a"] * count


async def test_ticket_of_an_older_revision_is_renewed_and_of_a_newer_one_waits_for_its_event(chain: Chain) -> None:
    await told(chain, revision=8, stores=["Arbat"])
    async with signed_in(chain, revision=7) as vera:
        assert (await vera.get("/v1/invitations")).status_code == 401
        assert (await vera.get("/invitations", headers={"accept": "text/html"})).status_code == 307
    async with signed_in(chain, revision=8) as vera:
        assert (await vera.get("/v1/invitations")).status_code == 200
    async with signed_in(chain, revision=9) as vera:
        assert (await vera.get("/v1/invitations")).status_code == 503
    async with signed_in(chain, revision=9, is_scoped=False) as vera:
        assert (await vera.get("/mailbox")).status_code == 200


async def test_older_event_does_not_replace_a_newer_one(chain: Chain) -> None:
    await told(chain, revision=8, stores=["Arbat"])
    await told(chain, revision=7)
    async with chain.database.sessions.begin() as session:
        known = await staff.find(session, PERSON)
    assert known is not None
    assert (known.revision, known.scope.stores) == (8, frozenset({"Arbat"}))
