"""Invitations past retention are deleted once they have ended; what somebody has forbidden is not forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.dispatcher.jobs import retention
from services.dispatcher.jobs.retention import InvitationRetention
from shared.contract.events import CallClosed, Payload, RespondentOptedOut
from shared.contract.vocabulary import CallOutcome, ChannelKind
from shared.ids import first_id
from tests.integration.dispatcher.conftest import NOW, Chain, RememberingAccount, answered, plan, request, withdrawn

KEPT = timedelta(days=400)
EMAIL, CALL = ChannelKind.EMAIL, ChannelKind.CALL


def made(days_ago: float, number: int = 0) -> UUID:
    """Return the id of an invitation that was made so many days ago."""
    at = datetime.now(UTC) - timedelta(days=days_ago)
    return UUID(int=first_id(at).int + number)


async def kept_ids(chain: Chain) -> set[UUID]:
    return {row["id"] for row in await chain.rows("SELECT id FROM invitations")}


async def test_ended_invitations_are_deleted_after_their_time_with_all_that_belongs_to_them(chain: Chain) -> None:
    old, recent, still_open = (
        request(name, invitation_id=made(days), plan=plan((EMAIL, 0), (CALL, 0)))
        for name, days in (("old", 401), ("recent", 399), ("open", 402))
    )
    await chain.take(old, recent, still_open)
    await chain.tick()
    await chain.take(answered(old), answered(recent))
    job = InvitationRetention(chain.database.sessions, KEPT)
    assert await job.past() == 1
    assert await job() == 1
    assert await kept_ids(chain) == {recent.invitation_id, still_open.invitation_id}
    for table in ("attempts", "mailbox", "due", "held", "calls"):
        rows = await chain.rows(f"SELECT 1 FROM {table} WHERE invitation_id = $1", old.invitation_id)  # noqa: S608 - ours
        assert rows == [], table
    assert (await job.past(), await job()) == (0, 0)


async def test_nothing_is_deleted_where_all_is_kept(chain: Chain) -> None:
    old = request(invitation_id=made(5000))
    await chain.take(old, answered(old))
    job = InvitationRetention(chain.database.sessions, None)
    assert (await job.past(), await job()) == (0, 0)
    assert await kept_ids(chain) == {old.invitation_id}


async def test_many_are_deleted_in_batches(chain: Chain) -> None:
    many = [request(f"r{n}", invitation_id=made(500, n)) for n in range(retention._BATCH + 5)]
    await chain.take(*many)
    await chain.take(*map(answered, many))
    assert await InvitationRetention(chain.database.sessions, KEPT)() == len(many)
    assert await kept_ids(chain) == set()


async def test_opt_out_of_a_deleted_invitation_holds_for_its_address(chain: Chain) -> None:
    old = request("c-1", invitation_id=made(500), plan=plan((EMAIL, 0)))
    await chain.take(old)
    await chain.take(RespondentOptedOut(respondent_id="c-1", invitation_id=old.invitation_id, at=NOW))
    assert await InvitationRetention(chain.database.sessions, KEPT)() == 1
    same_address = request("c-2", contact=old.contact, plan=plan((EMAIL, 0)))
    await chain.take(same_address)
    account = RememberingAccount()
    await chain.tick(email=account)
    assert account.taken == []
    assert (await chain.step(same_address.invitation_id, 1))["reason"] == "suppressed"


async def test_invitation_that_has_not_expired_is_kept_though_it_has_ended(chain: Chain) -> None:
    """A repeat of its request, whose id the inbox has forgotten, would be sent again."""
    old = request(invitation_id=made(500), plan=plan((EMAIL, 0)), expires_at=datetime.now(UTC) + timedelta(days=30))
    account = RememberingAccount()
    await chain.take(old)
    await chain.tick(email=account)
    await chain.take(answered(old))
    assert await InvitationRetention(chain.database.sessions, KEPT)() == 0
    await chain.take(old)
    await chain.tick(email=account)
    assert len(account.taken) == 1


async def test_what_arrives_for_a_deleted_invitation_sends_nothing_and_stays_not_long(chain: Chain) -> None:
    old = request(invitation_id=made(500), plan=plan((EMAIL, 0), (CALL, 0)))
    account = RememberingAccount()
    await chain.take(old)
    await chain.tick(email=account)
    await chain.take(answered(old))
    job = InvitationRetention(chain.database.sessions, KEPT)
    assert await job() == 1
    chain.clock.moment = old.expires_at + timedelta(days=500)
    about: dict[str, Any] = {"respondent_id": old.respondent_id, "invitation_id": old.invitation_id}
    late: list[Payload] = [
        answered(old),
        withdrawn(old),
        CallClosed(**about, task_id=uuid4(), outcome=CallOutcome.EXPIRED, at=chain.clock.now()),
        old,
    ]
    for payload in late:
        await chain.take(payload)
        await chain.take(payload)
        await chain.tick(email=account)
    assert len(account.taken) == 1
    assert await job() == 1
    await chain.tick_at(chain.clock.now() + timedelta(days=31), email=account)
    for table in ("invitations", "early", "due", "held", "attempts", "mailbox", "calls"):
        assert await chain.rows(f"SELECT 1 FROM {table}") == [], table  # noqa: S608 - ours


async def test_retention_while_events_arrive_deletes_the_old_alone_and_sends_each_once(chain: Chain) -> None:
    old = [request(f"o{n}", invitation_id=made(500, n), plan=plan((EMAIL, 0))) for n in range(40)]
    new = [request(f"n{n}", invitation_id=made(1, n), plan=plan((EMAIL, 0))) for n in range(40)]
    account, job = RememberingAccount(), InvitationRetention(chain.database.sessions, KEPT)
    await chain.take(*old)
    await chain.tick(email=account)

    async def end() -> None:
        for each in old:
            await chain.take(answered(each))

    async def ask() -> None:
        for each in new:
            await chain.take(each)
            await chain.take(answered(each))

    async def delete() -> None:
        for _ in range(20):
            await job()

    await asyncio.gather(end(), ask(), delete(), delete())
    await job()
    assert await kept_ids(chain) == {each.invitation_id for each in new}
    await chain.tick(email=account)
    assert len(account.taken) == len(old)
