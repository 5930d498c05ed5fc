"""Work cancelled at any moment: what was reported as done is stored, and nothing is sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import pytest

from services.dispatcher.domain.steps import LeasedStep
from services.dispatcher.jobs.maintenance import reap
from services.dispatcher.repository import steps
from shared.clock import ManualClock
from shared.contract.vocabulary import ChannelKind
from shared.database.db import Database
from tests.cancellation import cancelled_at_every_turn
from tests.integration.dispatcher.conftest import DAY, NOW, Chain, RememberingAccount, request

EMAIL = ChannelKind.EMAIL


@pytest.fixture
async def tried(urls: Mapping[str, str]) -> AsyncIterator[Chain]:
    """The service that is cancelled, with few connections; `chain` reads its database from outside."""
    database = Database(urls["dispatcher"], schema="dispatcher", pool_size=2)
    yield Chain(database, ManualClock(NOW))
    await database.close()


async def test_events_that_were_handled_are_stored(tried: Chain, chain: Chain) -> None:
    async def work(turn: int) -> UUID:
        asked = request(f"r{turn}")
        await tried.take(asked)
        return asked.invitation_id

    async def kept(_: int, invitation: UUID) -> None:
        assert await chain.states(invitation) == ["planned", "waiting", "waiting", "waiting"]

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)


async def test_step_that_was_sent_is_recorded_and_sent_once(tried: Chain, chain: Chain) -> None:
    """Claim, mark, send and record; steps of a cancelled claim are sent when their lease has ended."""
    account = RememberingAccount()
    sender = tried.sender(EMAIL, account, daily_ceiling=10_000)

    async def work(turn: int) -> UUID:
        asked = request(f"r{turn}")
        await chain.take(asked)
        await sender.perform_due()
        return asked.invitation_id

    async def kept(_: int, invitation: UUID) -> None:
        assert (await chain.step(invitation, 1))["state"] == "sent"

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)
    await chain.expire_leases()
    await chain.tick(email=account)
    assert set(Counter(message.invitation_id for message in account.taken).values()) == {1}
    states = {step["state"] for step in await chain.steps(number=1)}
    assert states <= {"sent", "unknown"}


async def test_step_that_was_claimed_is_leased(tried: Chain, chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(200)))

    async def work(_: int) -> list[LeasedStep]:
        async with tried.database.sessions.begin() as session:
            return await steps.claim_due(session, EMAIL, now=NOW, limit=1)

    async def kept(_: int, held: list[LeasedStep]) -> None:
        rows = await chain.rows("SELECT token FROM held WHERE invitation_id = $1", held[0].invitation_id)
        assert rows == [{"token": held[0].token}]

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)


async def test_invitation_that_expired_is_closed(tried: Chain, chain: Chain) -> None:
    async def work(turn: int) -> UUID:
        asked = request(f"r{turn}", expires_at=NOW + DAY)
        await chain.take(asked)
        tried.clock.moment = NOW + 2 * DAY
        await reap(tried.database.sessions, tried.clock)
        return asked.invitation_id

    async def kept(_: int, invitation: UUID) -> None:
        assert await chain.outcome(invitation) == "undeliverable"

    await cancelled_at_every_turn(work, database=tried.database, kept=kept)
