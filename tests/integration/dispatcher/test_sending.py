"""Claiming, sending and recording steps, with competing senders and after crashes."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, time, timedelta
from uuid import uuid4

from sqlalchemy import event

from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.domain.steps import SendResult
from services.dispatcher.jobs.maintenance import reap
from services.dispatcher.messages.styles import Style
from services.dispatcher.repository import steps
from services.dispatcher.sending.sender import TICK_S
from shared.contract.events import Brand, Contact, RespondentOptedOut, Window
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.database.until_stopped import Pause, until_stopped
from shared.health import Heartbeat
from shared.wakeup import Wakeup
from tests.integration.dispatcher.conftest import DAY, NOW, Chain, RememberingAccount, answered, plan, request

EMAIL, SMS = ChannelKind.EMAIL, ChannelKind.SMS


async def expire_leases(chain: Chain) -> None:
    await chain.expire_leases()


async def test_two_senders_send_each_of_1000_steps_once(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(1000)))
    accounts = [RememberingAccount(), RememberingAccount()]
    senders = [chain.sender(EMAIL, account, daily_ceiling=10_000) for account in accounts]
    async with asyncio.TaskGroup() as tasks:
        for sender in senders * 2:
            tasks.create_task(sender.perform_due())
    taken = Counter(message.invitation_id for account in accounts for message in account.taken)
    assert len(taken) == 1000
    assert set(taken.values()) == {1}
    assert len(await chain.published("contact.attempted")) == 1000


async def test_crash_in_flight_becomes_unknown_and_the_next_step_follows(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
        await steps.mark_in_flight(session, held, account="smtp")
    await chain.tick()
    assert (await chain.states(asked.invitation_id))[0] == "in_flight"
    await expire_leases(chain)
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["unknown", "planned", "waiting", "waiting"]
    assert (await chain.step(asked.invitation_id, 2))["due_at"] == NOW + 3 * DAY
    (attempt,) = await chain.published("contact.attempted")
    assert (attempt.state, attempt.reason, attempt.provider) == ("unknown", "sender_lost", "smtp")


async def test_sender_that_records_after_its_lease_ended_changes_nothing(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)

    async def take_over() -> None:
        await expire_leases(chain)
        await reap(chain.database.sessions, chain.clock)

    account = RememberingAccount(on_send=take_over)
    await chain.sender(EMAIL, account).perform_due()
    assert len(account.taken) == 1
    assert (await chain.step(asked.invitation_id, 1))["state"] == "unknown"
    assert [each.state for each in await chain.published("contact.attempted")] == ["unknown"]


async def test_crash_before_the_mark_is_sent_once_by_the_next(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        await steps.claim_due(session, EMAIL, now=NOW, limit=10)
    account = RememberingAccount()
    await chain.tick(email=account)
    assert account.taken == []
    await expire_leases(chain)
    await chain.tick(email=account)
    assert [message.invitation_id for message in account.taken] == [asked.invitation_id]


async def test_refused_address_does_not_delay_the_others(chain: Chain) -> None:
    respondents = [f"r{number}" for number in range(20)]
    asked = [request(name) for name in respondents]
    broken = request("broken", contact=Contact(email="not an address", phone="+15550001"))
    await chain.take(*asked, broken)
    account = RememberingAccount(answers={"r7@example.com": SendResult.REFUSED})
    await chain.tick(email=account)
    first = {row["invitation_id"]: row for row in await chain.steps(number=1)}
    assert Counter(row["state"] for row in first.values()) == {"sent": 19, "refused": 2}
    assert first[broken.invitation_id]["reason"] == "bad_address"
    assert len(account.taken) == 21  # the refused one goes on at once, to its second step


async def test_no_more_steps_are_in_flight_than_there_are_slots(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(25)))
    in_flight: list[int] = []

    async def count() -> None:
        found = await chain.rows("SELECT count(*) AS n FROM held WHERE in_flight")
        in_flight.append(found[0]["n"])

    await chain.tick(email=RememberingAccount(free_slots=10, on_send=count))
    assert in_flight == [10, 10, 5]


async def test_message_that_was_not_started_is_given_back_and_counts_as_no_try(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    account = RememberingAccount(answers={"r1@example.com": SendResult.NOT_STARTED})
    await chain.sender(EMAIL, account).perform_due()
    step = await chain.step(asked.invitation_id, 1)
    assert (step["state"], step["tries"], step["due_at"]) == ("planned", 0, NOW)


async def test_stopping_gives_back_steps_that_were_not_sent(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(20)))
    stop = asyncio.Event()

    async def stop_now() -> None:
        stop.set()

    account = RememberingAccount(free_slots=5, on_send=stop_now)
    await chain.sender(EMAIL, account).perform_due(stop)
    assert Counter(step["state"] for step in await chain.steps(number=1)) == {"planned": 15, "sent": 5}


async def test_step_marked_when_the_stop_came_is_not_sent(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    stop, account = asyncio.Event(), RememberingAccount()
    sender = chain.sender(EMAIL, account)
    original = sender.clock

    class Stopping:
        """Its third reading is that of the mark."""

        left = 3

        def now(self) -> datetime:
            self.left -= 1
            if not self.left:
                stop.set()
            return original.now()

    await replace(sender, clock=Stopping()).perform_due(stop)
    assert account.taken == []
    step = await chain.step(asked.invitation_id, 1)
    assert (step["state"], step["tries"]) == ("planned", 0)


async def test_step_claimed_within_its_hours_whose_turn_comes_after_them_waits(chain: Chain) -> None:
    window = Window(start=time(9), end=time(21))
    await chain.take(*(request(f"r{n}", time_zone="UTC", plan=plan((EMAIL, 0), window=window)) for n in range(2)))

    async def last_until_night() -> None:
        chain.clock.moment = NOW.replace(hour=21)

    account = RememberingAccount(free_slots=1, on_send=last_until_night)
    sender = chain.sender(EMAIL, account)
    await sender.perform_due()
    await sender.perform_due()
    assert len(account.taken) == 1
    waiting = await chain.rows("SELECT due_at, reason FROM due")
    assert waiting == [{"due_at": NOW.replace(hour=9) + DAY, "reason": "contact_hours"}]


async def test_mailbox_mode_sends_nothing(chain: Chain) -> None:
    await chain.take(request(plan=plan((EMAIL, 0), (SMS, 1))))
    accounts = {"email": RememberingAccount(), "sms": RememberingAccount(channel=SMS)}
    for moment in (NOW, NOW + DAY):
        chain.clock.moment = moment
        for channel in (EMAIL, SMS):
            await chain.sender(channel, accounts[channel], mode=SendMode.MAILBOX).perform_due()
    assert [account.taken for account in accounts.values()] == [[], []]
    kept = await chain.rows("SELECT channel, recipient FROM mailbox ORDER BY cursor")
    assert [(row["channel"], row["recipient"]) for row in kept] == [("email", "r1@example.com"), ("sms", "+15550001")]


async def test_allowlist_keeps_other_messages_in_the_mailbox(chain: Chain) -> None:
    ours = request("ours", contact=Contact(email="a@ours.test"))
    await chain.take(ours, request("theirs"))
    account = RememberingAccount()
    await chain.sender(EMAIL, account, mode=SendMode.ALLOWLIST, allowed=("ours.test",)).perform_due()
    assert [message.recipient for message in account.taken] == ["a@ours.test"]
    assert [row["recipient"] for row in await chain.rows("SELECT recipient FROM mailbox")] == ["theirs@example.com"]


async def test_channel_without_an_account_is_skipped_with_its_reason(chain: Chain) -> None:
    asked = request(plan=plan((SMS, 0), (EMAIL, 1)))
    await chain.take(asked)
    await chain.sender(SMS, None, mode=SendMode.LIVE).perform_due()
    step = await chain.step(asked.invitation_id, 1)
    assert (step["state"], step["reason"]) == ("skipped", "no_account")
    assert await chain.states(asked.invitation_id) == ["skipped", "planned"]


async def test_daily_ceiling_moves_the_rest_to_tomorrow(chain: Chain) -> None:
    await chain.take(*(request(f"r{number}") for number in range(8)))
    account = RememberingAccount()
    sender = chain.sender(EMAIL, account, daily_ceiling=5)
    await sender.perform_due()
    await sender.perform_due()
    assert len(account.taken) == 5
    moved = await chain.rows("SELECT due_at FROM due WHERE reason = 'daily_ceiling'")
    assert [row["due_at"] for row in moved] == [NOW.replace(hour=0) + DAY] * 3
    chain.clock.moment = NOW + timedelta(hours=12)
    await sender.perform_due()
    assert len(account.taken) == 8


async def test_message_that_cannot_be_rendered_stops_neither_the_others_nor_its_chain(chain: Chain) -> None:
    bad, good = request("bad", brand=Brand(name="Broken")), request("good")
    await chain.take(bad, good)
    account = RememberingAccount()
    sender = chain.sender(EMAIL, account)
    broken = Style("Broken", texts={"no such text": ""})
    sender = replace(sender, composer=replace(sender.composer, styles=(broken,)))
    for minutes in (0, 5, 15):
        chain.clock.moment = NOW + timedelta(minutes=minutes)
        await sender.perform_due()
    assert [message.invitation_id for message in account.taken] == [good.invitation_id]
    first = await chain.step(bad.invitation_id, 1)
    assert (first["state"], first["reason"]) == ("failed", "not_rendered")
    assert (await chain.step(bad.invitation_id, 2))["state"] == "planned"


async def test_message_whose_link_key_is_unknown_waits_for_it_and_costs_no_try(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await chain.rows("UPDATE contents SET document = document || $1::jsonb", '{"link_key": "lost"}')
    account = RememberingAccount()
    for minutes in range(5):
        await chain.tick_at(NOW + timedelta(minutes=minutes), email=account)
    waiting = await chain.step(asked.invitation_id, 1)
    assert (waiting["state"], waiting["reason"], waiting["tries"]) == ("planned", "unknown_link_key", 0)
    await chain.rows("UPDATE contents SET document = document || $1::jsonb", '{"link_key": "dev"}')
    await chain.tick_at(NOW + timedelta(minutes=5), email=account)
    assert len(account.taken) == 1


async def test_step_skipped_while_it_was_leased_cannot_be_given_back(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
    await chain.take(answered(asked))
    async with chain.database.sessions.begin() as session:
        await steps.move(session, [(held[0], NOW, None)])
    assert (await chain.states(asked.invitation_id))[0] == "skipped"


async def test_opting_out_of_a_channel_releases_its_leases(chain: Chain) -> None:
    asked, other = request(), request()
    await chain.take(asked, other)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
    await chain.take(RespondentOptedOut(respondent_id="r1", invitation_id=asked.invitation_id, channel=EMAIL, at=NOW))
    async with chain.database.sessions.begin() as session:
        assert await steps.mark_in_flight(session, held, account="any") == set()
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["skipped"] * 4
    assert await chain.states(other.invitation_id) == ["skipped", "skipped", "sent", "planned"]


async def test_loop_retries_after_an_outage_and_ends_when_told() -> None:
    stop, failures = asyncio.Event(), iter([ConnectionError, TimeoutError])

    async def work() -> int:
        if error := next(failures, None):
            raise error
        stop.set()
        return 0

    async with asyncio.timeout(10):
        await until_stopped(Wakeup().notified_by(work), stop, heartbeat=Heartbeat("reaper"), pause=Pause(10))
    assert next(failures, None) is None


async def test_loop_performs_a_step_that_a_handler_committed(chain: Chain) -> None:
    wakeup, stop = Wakeup(), asyncio.Event()
    account = RememberingAccount()

    async def stop_soon() -> None:
        stop.set()

    account.on_send = stop_soon
    sender = chain.sender(EMAIL, account)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        work = wakeup.notified_by(lambda: sender.perform_due(stop))
        loop = until_stopped(work, stop, heartbeat=Heartbeat("sender"), pause=Pause(10, wake=wakeup.listen()))
        tasks.create_task(loop)
        await chain.take(request())
        wakeup.notify()
    assert len(account.taken) == 1


async def test_sender_knows_when_its_next_step_is_due(chain: Chain) -> None:
    sender = chain.sender(EMAIL)
    assert await sender.next_due_s() is None
    await chain.take(request(send_at=NOW + DAY))
    assert await sender.next_due_s() == DAY.total_seconds()
    assert await chain.sender(SMS).next_due_s() is None
    chain.clock.moment = NOW + 2 * DAY
    assert await sender.next_due_s() == TICK_S, "also where it cannot be performed: its pause is not 0"


async def test_rounds_without_work_take_one_transaction(chain: Chain) -> None:
    begun = list[object]()
    event.listen(chain.database.engine.sync_engine, "checkout", lambda connection, *_: begun.append(connection))
    await chain.take(request(send_at=NOW + DAY))
    begun.clear()
    assert await chain.sender(EMAIL).round() == (0, DAY.total_seconds())
    assert await chain.sender(SMS).round() == (0, None)
    assert len(begun) == 2
    assert await reap(chain.database.sessions, chain.clock) == 0
    assert len(begun) == 3


async def test_mark_and_end_find_their_steps_by_key(dispatcher_db: db.Database, chain: Chain) -> None:
    """They once read all running steps, and those that ran since the last vacuum, which grew with every batch."""
    await chain.take(*(request(f"r{number}") for number in range(500)))
    connection = await dispatcher_db.connect()
    await connection.execute("VACUUM ANALYZE due, held")
    async with dispatcher_db.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=500)
    await connection.execute("SET enable_seqscan = off")
    columns = steps._columns(held[:100])
    nothing_follows: tuple[list[None], ...] = ([],) * 7
    for sql, more in ((steps._MARK, ("smtp", steps.LEASE)), (steps._END, nothing_follows)):
        plan_text = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *columns, *more))
        assert "held_pkey" in plan_text
    await connection.close()


async def test_mark_reads_only_its_own_steps_and_invitations_with_old_statistics(
    dispatcher_db: db.Database, chain: Chain
) -> None:
    """It once read all steps and compared each leased one with each to be marked, and later all open invitations."""
    await chain.take(*(request(f"r{number}") for number in range(500)))
    connection = await dispatcher_db.connect()
    await connection.execute("VACUUM ANALYZE due, held")
    async with dispatcher_db.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=500)
    explain = f"EXPLAIN (ANALYZE) {steps._MARK}"
    rows = await connection.fetch(explain, *steps._columns(held[:100]), "smtp", steps.LEASE)
    plan_text = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan_text
    assert "invitations_pkey" in plan_text
    assert "invitations_expiry" not in plan_text
    await connection.close()


async def test_step_that_is_due_and_held_at_once_stops_no_other(chain: Chain) -> None:
    """This never happens, unless somebody changes the tables by hand."""
    odd, other = request("odd"), request("other")
    await chain.take(odd, other)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=10)
        assert len(held) == 2
    await chain.rows(
        "INSERT INTO due (invitation_id, step, channel, due_at) SELECT id, 1, 'email', $1 FROM invitations", NOW
    )
    await chain.rows("DELETE FROM held WHERE invitation_id = $1", other.invitation_id)
    account = RememberingAccount()
    await chain.sender(EMAIL, account).perform_due()
    assert [message.invitation_id for message in account.taken] == [other.invitation_id]


async def test_claim_reads_only_due_steps(dispatcher_db: db.Database, chain: Chain) -> None:
    """The statement itself, over many steps of the future."""
    asked = request()
    await chain.take(asked)
    async with dispatcher_db.sessions.begin() as session:
        await db.fetch(
            session,
            """INSERT INTO due (invitation_id, step, channel, due_at)
            SELECT gen_random_uuid(), 1, 'email', $1::timestamptz + n * interval '1 s'
            FROM generate_series(100, 20000) AS n""",
            NOW,
        )
        await db.fetch(session, "ANALYZE due")
        explained = await db.fetch(session, f"EXPLAIN (ANALYZE, BUFFERS) {steps._CLAIM}", EMAIL, NOW, 500, uuid4(), DAY)
    plan_text = "\n".join(row[0] for row in explained)
    assert "Index Scan using due_first" in plan_text
    assert "Sort" not in plan_text
    assert "Tid Scan on due" in plan_text
    assert "Seq Scan on due" not in plan_text
    (limit,) = re.findall(r"Limit .*rows=(\d+)(?:\.\d+)? loops=1", plan_text)
    assert limit == "1"
