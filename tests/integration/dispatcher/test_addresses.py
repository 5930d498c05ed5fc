"""A suppressed address is not contacted, whatever customer id names it."""

from __future__ import annotations

import asyncio

import pytest

from services.dispatcher.domain.addresses import NewSuppression
from services.dispatcher.domain.receipts import ReceiptKind
from services.dispatcher.handlers import apply_receipts, close_invitations
from services.dispatcher.jobs.address_marker import AddressMarker
from services.dispatcher.repository import addresses, contacts, send_facts, steps
from shared.contract.address_keys import AddressKeys
from shared.contract.events import (
    CallClosed,
    Contact,
    RespondentErased,
    RespondentOptedOut,
    Suppression,
    SurveyRequested,
)
from shared.contract.vocabulary import CallOutcome, ChannelKind, SuppressionReason, address_fingerprint
from shared.database import db
from tests.integration.dispatcher.conftest import ADDRESS_KEYS, DAY, NOW, Chain, RememberingAccount, plan, request
from tests.integration.dispatcher.test_receipts import Receiver, sent

MAIL = ChannelKind.EMAIL
OLGA = "olga@example.com"
ROTATED = AddressKeys({"a2": "a newer secret", **ADDRESS_KEYS.keys})


def olga(respondent: str, **contact: str) -> SurveyRequested:
    return request(respondent, contact=Contact(**{"email": OLGA, **contact}), plan=plan((MAIL, 0)))


async def opt_out(chain: Chain, respondent: str, channel: ChannelKind | None = MAIL) -> None:
    async with chain.database.sessions.begin() as session:
        await close_invitations.opt_out(session, respondent, now=NOW, channel=channel)


async def is_asked(chain: Chain, asked: SurveyRequested) -> bool:
    account = RememberingAccount()
    await chain.take(asked)
    await chain.tick(email=account)
    return bool(account.taken)


async def mark(chain: Chain, keys: AddressKeys = ADDRESS_KEYS) -> None:
    marker = AddressMarker(chain.database.sessions, keys)
    while await marker():
        continue


async def test_another_id_with_an_address_that_opted_out_is_not_contacted(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    await opt_out(chain, "c-1")
    second = olga("olga@example.com", email=" Olga@Example.com")
    assert not await is_asked(chain, second)
    assert (await chain.step(second.invitation_id, 1))["reason"] == "suppressed"
    (told,) = await chain.published("respondent.suppressed")
    assert told.addresses == [ADDRESS_KEYS.fingerprint(OLGA).hex()]


async def test_opt_out_on_the_answer_page_binds_the_address(chain: Chain) -> None:
    asked = await sent(chain, olga("c-1"))
    opted_out = RespondentOptedOut(respondent_id="c-1", invitation_id=asked.invitation_id, customer_id="c-1", at=NOW)
    await chain.take(opted_out)
    assert not await is_asked(chain, olga("c-2"))


@pytest.mark.parametrize("kind", [ReceiptKind.HARD_BOUNCE, ReceiptKind.BLOCKED, ReceiptKind.COMPLAINT])
async def test_what_a_receipt_says_about_an_address_holds_for_every_id(chain: Chain, kind: ReceiptKind) -> None:
    await Receiver(chain).told(kind, await sent(chain, olga("c-1")))
    assert not await is_asked(chain, olga("c-2"))
    assert await is_asked(chain, olga("c-3", email="ivan@example.com"))


async def test_soft_bounces_of_one_id_hold_for_no_other(chain: Chain) -> None:
    receiver = Receiver(chain)
    for _ in range(3):
        asked = await sent(chain, olga("c-1"))
        await receiver.told(ReceiptKind.SOFT_BOUNCE, asked)
    assert await chain.rows("SELECT reason FROM suppressions") == [{"reason": "soft_bounce"}]
    assert not await is_asked(chain, olga("c-1"))
    assert await is_asked(chain, olga("c-2"))


async def test_open_invitations_of_others_end_when_all_their_addresses_said_no(chain: Chain) -> None:
    first, second, third = olga("c-1"), olga("c-2"), olga("c-3", phone="+15550009")
    await chain.take(first, second, third)
    await opt_out(chain, "c-1", channel=None)
    assert await chain.outcome(second.invitation_id) == "declined"
    assert await chain.outcome(third.invitation_id) is None
    await chain.tick(email=RememberingAccount())
    assert (await chain.step(third.invitation_id, 1))["reason"] == "suppressed"


async def test_a_suppression_between_claim_and_mark_releases_the_lease_of_another_id(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    second = olga("c-2")
    await chain.take(second)
    claimed = await chain.sender(MAIL, RememberingAccount()).claim(10, NOW)
    assert [each.leased.invitation_id for each in claimed.ready] == [second.invitation_id]
    await opt_out(chain, "c-1")
    async with chain.database.sessions.begin() as session:
        marked = await steps.mark_in_flight(session, [each.leased for each in claimed.ready], account="a")
    assert marked == set()


async def test_a_claim_under_way_is_checked_again_after_a_suppression(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    await chain.take(olga("c-2"))
    async with chain.database.sessions.begin() as session:
        leased = await steps.claim_due(session, MAIL, now=NOW, limit=10)
        opting_out = asyncio.create_task(opt_out(chain, "c-1"))
        facts = await send_facts.read(session, leased, MAIL, address_keys=ADDRESS_KEYS, now=NOW)
        assert not any(each.suppressed for each in facts.values())
    await opting_out
    async with chain.database.sessions.begin() as session:
        assert await steps.mark_in_flight(session, leased, account="a") == set()


async def test_a_lifted_suppression_releases_the_address_too(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    await opt_out(chain, "c-1")
    (row,) = await chain.rows("SELECT id FROM suppressions")
    async with chain.database.sessions.begin() as session:
        assert await apply_receipts.release(session, row["id"], now=NOW)
    (released,) = await chain.published("respondent.released")
    assert released.addresses == [ADDRESS_KEYS.fingerprint(OLGA).hex()]
    assert await is_asked(chain, olga("c-2"))


@pytest.mark.parametrize("channel", [ChannelKind.CALL, ChannelKind.SMS])
async def test_a_wrong_number_is_not_contacted_under_another_id(chain: Chain, channel: ChannelKind) -> None:
    first, second = request("c-1", plan=plan((ChannelKind.CALL, 0))), request("c-2", plan=plan((channel, 0)))
    await chain.take(first)
    await chain.tick()
    (call,) = await chain.published("call.requested")
    closed = CallClosed(
        respondent_id="c-1",
        invitation_id=first.invitation_id,
        customer_id="c-1",
        task_id=call.task_id,
        outcome=CallOutcome.WRONG_NUMBER,
        at=NOW,
    )
    await chain.take(closed)
    await chain.take(second)
    await chain.tick()
    assert (await chain.step(second.invitation_id, 1))["reason"] == "suppressed"


async def test_after_an_erasure_a_new_customer_with_an_address_that_opted_out_is_not_contacted(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    await opt_out(chain, "c-1")
    await chain.take(RespondentErased(respondent_id="c-1"))
    assert not await is_asked(chain, olga("c-2"))


async def test_an_erasure_keeps_no_fingerprint_of_an_address_that_bounced(chain: Chain) -> None:
    await Receiver(chain).told(ReceiptKind.HARD_BOUNCE, await sent(chain, olga("c-1")))
    await chain.take(RespondentErased(respondent_id="c-1"))
    assert await chain.rows("SELECT 1 FROM bound_addresses") == []
    kept = "SELECT 1 FROM invitations WHERE email_fingerprint IS NOT NULL OR phone_fingerprint IS NOT NULL"
    assert await chain.rows(kept) == []
    assert await is_asked(chain, olga("c-2"))


_BEFORE = "UPDATE invitations SET email_fingerprint = NULL, phone_fingerprint = NULL, address_key = NULL RETURNING 1"


async def test_stored_opt_outs_take_the_addresses_of_their_invitations_once(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    await opt_out(chain, "c-1")
    await chain.rows("DELETE FROM bound_addresses RETURNING 1")  # as an earlier release left them
    await chain.rows(_BEFORE)
    await mark(chain)
    assert not await is_asked(chain, olga("c-2"))


async def test_a_stored_unkeyed_fingerprint_holds_before_and_after_it_is_wrapped(chain: Chain) -> None:
    await Receiver(chain).told(ReceiptKind.HARD_BOUNCE, await sent(chain, olga("c-1")))
    await chain.rows("DELETE FROM bound_addresses RETURNING 1")
    await chain.rows("UPDATE suppressions SET address = $1, is_bound = false RETURNING 1", address_fingerprint(OLGA))
    assert not await is_asked(chain, olga("c-2"))
    await mark(chain)
    assert await chain.rows("SELECT address FROM suppressions") == [{"address": None}]
    assert not await is_asked(chain, olga("c-3"))


async def test_a_fingerprint_under_an_older_key_still_holds(chain: Chain) -> None:
    await sent(chain, olga("c-1"))
    await opt_out(chain, "c-1")
    await mark(chain, ROTATED)
    second = olga("c-2")
    await chain.take(second)
    async with chain.database.sessions.begin() as session:
        leased = await steps.claim_due(session, MAIL, now=NOW, limit=10)
        facts = await send_facts.read(session, leased, MAIL, address_keys=ROTATED, now=NOW + DAY)
    assert facts[second.invitation_id].suppressed


async def test_bound_addresses_are_found_by_their_indexes(chain: Chain) -> None:
    """The queries at each claim and each suppression, over many invitations and suppressions of others."""
    await chain.take(*(request(f"r{number}", contact=Contact(email=f"{number}@example.com")) for number in range(1000)))
    async with chain.database.sessions.begin() as session:
        await close_invitations.suppress(
            session,
            [
                NewSuppression(Suppression(respondent_id=f"r{number}", reason=SuppressionReason.OPT_OUT))
                for number in range(500)
            ],
            now=NOW,
        )
        for table in ("invitations", "suppressions", "bound_addresses"):
            await db.fetch(session, f"ANALYZE {table}")
        row = await db.fetch(session, "SELECT id, email_fingerprint FROM invitations LIMIT 1")
        given = ([row[0]["id"]], [row[0]["email_fingerprint"]], MAIL, NOW, "soft_bounce")
        at_claim = await db.fetch(session, f"EXPLAIN {addresses._TO_BOUND}", *given)
        reached = await db.fetch(session, f"EXPLAIN {addresses._WITH_SAME_ADDRESS}", ["r1"], 20, [])
        named = await db.fetch(session, f"EXPLAIN {contacts._PAST}", ["r1"], NOW, row[0]["id"], [given[1][0]])
    for plan_rows, indexes in (
        (at_claim, ("bound_addresses_fingerprint", "suppressions_pkey")),
        (reached, ("invitations_respondent", "invitations_email", "invitations_phone")),
        (named, ("invitations_respondent", "invitations_email", "invitations_phone", "attempts_once")),
    ):
        text = "\n".join(each[0] for each in plan_rows)
        assert "Seq Scan on invitations" not in text
        assert "Seq Scan on bound_addresses" not in text
        assert all(index in text for index in indexes), text
