"""A respondent is contacted no more often than the caps allow, over all surveys, channels and processes."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from services.dispatcher.domain import caps
from services.dispatcher.domain.caps import PastContact
from services.dispatcher.domain.steps import SendResult
from services.dispatcher.repository import contacts, steps
from shared.contract.events import Contact, ContactCap, SurveyRequested, Window
from shared.contract.vocabulary import ChannelKind
from tests.integration.dispatcher.conftest import ADDRESS_KEYS, DAY, NOW, Chain, RememberingAccount, plan, request

EMAIL, SMS, CALL = ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.CALL
ONE_A_WEEK = ContactCap(name="one a week", limit=1, days=7)


def capped(*limits: ContactCap, respondent: str = "r1", **changes: Any) -> SurveyRequested:
    contact = Contact(email=f"{respondent}@example.com", phone=f"+1555{zlib.crc32(respondent.encode()) % 10**7:07}")
    return request(respondent, **{"contact_caps": list(limits), "contact": contact, **changes})


async def waits(chain: Chain, asked: SurveyRequested, number: int) -> tuple[str, datetime | None, str | None]:
    step = await chain.step(asked.invitation_id, number)
    return step["state"], step["due_at"], step["reason"]


async def test_reminder_waits_until_the_cap_allows_it(chain: Chain) -> None:
    asked = capped(ONE_A_WEEK)
    await chain.take(asked)
    await chain.tick()
    await chain.tick_at(NOW + 3 * DAY)
    assert await waits(chain, asked, 2) == ("planned", NOW + 7 * DAY, "contact_cap")
    await chain.tick_at(NOW + 7 * DAY)
    assert (await chain.states(asked.invitation_id))[:3] == ["sent", "sent", "planned"]


@pytest.mark.parametrize("channel", [SMS, CALL])
async def test_every_channel_counts_towards_a_cap_of_all(chain: Chain, channel: ChannelKind) -> None:
    first, second = request(plan=plan((channel, 0))), capped(ONE_A_WEEK, plan=plan((EMAIL, 0)))
    await chain.take(first)
    await chain.tick()
    await chain.take(second)
    await chain.tick()
    assert await waits(chain, second, 1) == ("planned", NOW + 7 * DAY, "contact_cap")


async def test_cap_of_one_channel_does_not_apply_to_others(chain: Chain) -> None:
    asked = capped(ContactCap(name="mail", channel=EMAIL, limit=1, days=2), plan=plan((EMAIL, 0), (SMS, 0), (EMAIL, 0)))
    await chain.take(asked)
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["sent", "sent", "planned"]


async def test_step_that_a_cap_allows_only_after_the_expiry_is_skipped(chain: Chain) -> None:
    mails = ContactCap(name="mail", channel=EMAIL, limit=1, days=30)
    asked = capped(mails)
    await chain.take(asked)
    await chain.tick()
    await chain.tick_at(NOW + 3 * DAY)
    assert await waits(chain, asked, 2) == ("skipped", None, "contact_cap")
    assert (await chain.step(asked.invitation_id, 3))["state"] == "sent"


async def test_cap_of_zero_allows_no_contact(chain: Chain) -> None:
    asked = capped(ContactCap(name="never", limit=0, days=1))
    await chain.take(asked)
    await chain.tick()
    assert await chain.states(asked.invitation_id) == ["skipped"] * 4
    assert await chain.outcome(asked.invitation_id) == "undeliverable"


async def test_contact_that_reached_nobody_does_not_count_towards_a_cap(chain: Chain) -> None:
    asked = capped(ONE_A_WEEK, plan=plan((EMAIL, 0), (SMS, 0)))
    await chain.take(asked)
    await chain.tick(email=RememberingAccount(answers={"r1@example.com": SendResult.REFUSED}))
    assert await chain.states(asked.invitation_id) == ["refused", "sent"]


async def test_surveys_of_one_batch_share_the_cap(chain: Chain) -> None:
    both = [capped(ONE_A_WEEK), capped(ONE_A_WEEK)]
    await chain.take(*both, capped(ONE_A_WEEK, respondent="somebody else"))
    await chain.tick()
    assert len(await chain.rows("SELECT 1 FROM mailbox")) == 2


async def test_caps_of_the_installation_apply_to_every_program(chain: Chain) -> None:
    await chain.take(request(), request())
    await chain.sender(EMAIL, contact_caps=[ONE_A_WEEK]).perform_due()
    assert len(await chain.rows("SELECT 1 FROM mailbox")) == 1


async def test_postponed_step_still_keeps_to_the_contact_hours(chain: Chain) -> None:
    window = Window(start=time(18), end=time(20))
    asked = capped(
        ContactCap(name="one a day", limit=1, days=1),
        time_zone="UTC",
        plan=[*plan((EMAIL, 0)), *plan((EMAIL, 0), (EMAIL, 0), window=window)[1:]],
    )
    await chain.take(asked)
    await chain.tick()
    assert await waits(chain, asked, 2) == ("planned", NOW + timedelta(hours=6), "contact_hours")
    await chain.tick_at(NOW + timedelta(hours=6))
    assert await waits(chain, asked, 2) == ("planned", NOW + DAY, "contact_cap")
    await chain.tick_at(NOW + DAY)
    assert await waits(chain, asked, 2) == ("planned", NOW + DAY + timedelta(hours=6), "contact_hours")


async def test_two_dispatchers_and_all_senders_keep_to_one_cap(chain: Chain) -> None:
    people = [f"r{number}" for number in range(60)]
    channels = (EMAIL, SMS, EMAIL, CALL)
    surveys = [
        capped(ONE_A_WEEK, respondent=person, plan=plan((channel, 0))) for person in people for channel in channels
    ]
    await chain.take(*surveys)
    accounts = [RememberingAccount(), RememberingAccount(channel=SMS)] * 2
    senders = [chain.sender(account.channel, account, daily_ceiling=10_000) for account in accounts]
    senders += [chain.sender(CALL), chain.sender(CALL)]
    for minutes in range(3):  # who was looked at by two at once is looked at again
        chain.clock.moment = NOW + timedelta(minutes=minutes)
        async with asyncio.TaskGroup() as tasks:
            for sender in senders:
                tasks.create_task(sender.perform_due())
    sent = await chain.rows(
        """SELECT i.respondent_id FROM attempts a JOIN invitations i ON i.id = a.invitation_id WHERE a.state = 'sent'"""
    )
    assert Counter(row["respondent_id"] for row in sent) == dict.fromkeys(people, 1)
    left = await chain.rows("SELECT count(*) AS n FROM due WHERE reason = 'contact_cap'")
    assert left == [{"n": 180}]


async def test_respondent_locked_by_another_claim_is_checked_again_in_a_minute(chain: Chain) -> None:
    asked = capped(ONE_A_WEEK)
    await chain.take(asked)
    async with chain.database.sessions.begin() as session:
        await contacts.past(session, {asked.invitation_id: ["r1"]}, claim=asked.invitation_id, since=NOW, shared_ids=10)
        await chain.sender(EMAIL).perform_due()
    assert await waits(chain, asked, 1) == ("planned", NOW + timedelta(minutes=1), "contact_cap")


async def test_step_in_flight_counts_until_it_has_failed(chain: Chain) -> None:
    first, second = capped(ONE_A_WEEK), capped(ONE_A_WEEK, plan=plan((SMS, 0)))
    await chain.take(first)
    async with chain.database.sessions.begin() as session:
        held = await steps.claim_due(session, EMAIL, now=NOW, limit=1)
        await steps.mark_in_flight(session, held, account="smtp")
    await chain.take(second)
    await chain.sender(SMS).perform_due()
    assert await waits(chain, second, 1) == ("planned", NOW + timedelta(minutes=1), "contact_cap")
    await chain.rows("DELETE FROM held WHERE in_flight")
    chain.clock.moment = NOW + timedelta(minutes=1)
    await chain.sender(SMS).perform_due()
    assert await chain.states(second.invitation_id) == ["sent"]


def test_cap_allows_a_contact_when_the_oldest_counted_one_is_old_enough() -> None:
    past = [PastContact(EMAIL, NOW - days * DAY) for days in (9, 5, 2, 1)]
    two_a_week = ContactCap(name="two", limit=2, days=7)
    assert caps.next_allowed(past, [two_a_week], EMAIL, now=NOW) == NOW + 5 * DAY
    assert caps.next_allowed(past[:2], [two_a_week], EMAIL, now=NOW) == NOW
    assert caps.next_allowed(past, [two_a_week, ONE_A_WEEK], EMAIL, now=NOW) == NOW + 6 * DAY


def test_caps_are_read_from_their_text() -> None:
    found = caps.read_caps("4 in 30 days, sms 1 in 1 day")
    assert [(cap.channel, cap.limit, cap.days) for cap in found] == [(None, 4, 30), (SMS, 1, 1)]
    assert caps.read_caps("") == ()
    with pytest.raises(ValueError, match="4 in 30 days"):
        caps.read_caps("fax 1 in 7 days")


async def test_another_id_with_the_same_address_shares_the_cap(chain: Chain) -> None:
    first, second = (
        capped(ONE_A_WEEK, respondent=each, contact=Contact(email="olga@example.com")) for each in ("111", "222")
    )
    await chain.take(first)
    await chain.tick()
    await chain.take(second)
    await chain.tick()
    assert await waits(chain, second, 1) == ("planned", NOW + 7 * DAY, "contact_cap")


async def test_a_contact_by_id_and_address_is_counted_once(chain: Chain) -> None:
    two_a_week = ContactCap(name="two a week", limit=2, days=7)
    first, second = capped(two_a_week, plan=plan((EMAIL, 0))), capped(two_a_week, plan=plan((EMAIL, 0)))
    await chain.take(first)
    await chain.tick()
    await chain.take(second)
    await chain.tick()
    assert await chain.states(second.invitation_id) == ["sent"]


async def test_two_ids_with_one_address_in_one_claim_share_the_cap(chain: Chain) -> None:
    contact = Contact(email="olga@example.com")
    await chain.take(*(capped(ONE_A_WEEK, respondent=each, contact=contact) for each in ("111", "222")))
    await chain.tick()
    assert len(await chain.rows("SELECT 1 FROM mailbox")) == 1


@pytest.mark.parametrize(("ids", "asked"), [(10, 1), (11, 11)])
async def test_an_address_of_more_than_ten_ids_is_no_identity(chain: Chain, ids: int, asked: int) -> None:
    contact = Contact(email="till@shop.example")
    await chain.take(*(capped(ONE_A_WEEK, respondent=f"c-{number}", contact=contact) for number in range(ids)))
    await chain.tick()
    assert len(await chain.rows("SELECT 1 FROM mailbox")) == asked


async def test_address_locked_by_another_claim_is_checked_again_in_a_minute(chain: Chain) -> None:
    asked = capped(ONE_A_WEEK)
    await chain.take(asked)
    locked = {asked.invitation_id: [ADDRESS_KEYS.fingerprint("r1@example.com")]}
    async with chain.database.sessions.begin() as session:
        await contacts.past(session, locked, claim=asked.invitation_id, since=NOW, shared_ids=10)
        await chain.sender(EMAIL).perform_due()
    assert await waits(chain, asked, 1) == ("planned", NOW + timedelta(minutes=1), "contact_cap")
