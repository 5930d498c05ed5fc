"""Receipts in any order, repeated, and before our own commit: their effect on ledger, chain and suppressions."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from starlette.responses import JSONResponse

from services.dispatcher.channels.sms import SmsAccount, SmsRouter, Twilio
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from services.dispatcher.jobs.receipts import SmsStatusPoller, apply_due, release_expired
from services.dispatcher.repository import receipts
from shared.contract.events import ContactCap, RespondentReleased, RespondentSuppressed, SurveyRequested
from shared.contract.vocabulary import ChannelKind, SuppressionReason, address_fingerprint
from shared.web.http_client import HttpClient
from tests.fakes import gateway
from tests.integration.dispatcher.conftest import (
    ADDRESS_KEYS,
    DAY,
    LINK_KEYS,
    NOW,
    Chain,
    RememberingAccount,
    answered,
    plan,
    request,
)

MAIL, SMS, CALL = ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.CALL


class Receiver:
    """Stores and applies receipts of a chain's messages."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.count = chain, 0

    def receipt(self, kind: ReceiptKind, asked: SurveyRequested, step: int = 1, **fields: Any) -> Receipt:
        self.count += 1
        channel = next(each.channel for each in asked.plan if each.step == step)
        known = {"provider": "p", "key": f"k{self.count}", "reference": Reference(asked.invitation_id, step)}
        return Receipt(**{**known, "kind": kind, "channel": channel, "reason": None, **fields})

    async def bring(self, *found: Receipt) -> None:
        async with self.chain.database.sessions.begin() as session:
            await receipts.add(session, found)

    async def apply(self) -> None:
        while await apply_due(self.chain.database.sessions, self.chain.clock, address_keys=ADDRESS_KEYS):
            continue

    async def told(self, kind: ReceiptKind, asked: SurveyRequested, step: int = 1, **fields: Any) -> None:
        await self.bring(self.receipt(kind, asked, step, **fields))
        await self.apply()

    async def attempt(self, asked: SurveyRequested, step: int = 1) -> tuple[str, str | None, int]:
        sql = "SELECT state, reason, revision FROM attempts WHERE invitation_id = $1 AND step = $2"
        (row,) = await self.chain.rows(sql, asked.invitation_id, step)
        return row["state"], row["reason"], row["revision"]

    async def suppressions(self) -> list[tuple[str, str | None, Any]]:
        rows = await self.chain.rows("SELECT reason, channel, until FROM suppressions ORDER BY reason")
        return [(row["reason"], row["channel"], row["until"]) for row in rows]


@pytest.fixture
def receiver(chain: Chain) -> Receiver:
    return Receiver(chain)


async def sent(chain: Chain, asked: SurveyRequested | None = None, **accounts: RememberingAccount) -> SurveyRequested:
    asked = asked or request()
    await chain.take(asked)
    await chain.tick(**(accounts or {"email": RememberingAccount()}))
    return asked


@pytest.mark.parametrize(
    "kinds", list(permutations([ReceiptKind.DELIVERED, ReceiptKind.HARD_BOUNCE, ReceiptKind.COMPLAINT]))
)
async def test_states_move_forward_in_any_order_of_receipts(
    chain: Chain, receiver: Receiver, kinds: tuple[ReceiptKind, ...]
) -> None:
    asked = await sent(chain)
    for kind in kinds:
        await receiver.told(kind, asked)
    assert (await receiver.attempt(asked))[:2] == ("complained", "complaint")
    revisions = [each.revision for each in await chain.published("contact.attempted")]
    assert revisions == sorted(set(revisions))


async def test_receipt_received_twice_counts_once(chain: Chain, receiver: Receiver) -> None:
    asked = await sent(chain)
    for _ in range(2):
        await receiver.told(ReceiptKind.DELIVERED, asked, key="same")
    assert await receiver.attempt(asked) == ("delivered", None, 2)
    assert [each.state for each in await chain.published("contact.attempted")] == ["sent", "delivered"]


async def test_receipt_received_before_our_own_commit_waits_for_it(chain: Chain, receiver: Receiver) -> None:
    asked = request()
    await chain.take(asked)

    async def provider_is_faster() -> None:
        await receiver.told(ReceiptKind.DELIVERED, asked)
        assert await chain.rows("SELECT 1 FROM attempts") == []

    await chain.tick(email=RememberingAccount(on_send=provider_is_faster))
    assert (await receiver.attempt(asked))[0] == "sent"
    await chain.rows("UPDATE receipts SET look_at = clock_timestamp() RETURNING 1")
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == "delivered"


async def test_receipt_of_an_unknown_message_is_given_up_in_the_end(chain: Chain, receiver: Receiver) -> None:
    asked = request()
    await receiver.bring(receiver.receipt(ReceiptKind.DELIVERED, asked))
    for _ in range(20):
        await receiver.apply()
        await chain.rows("UPDATE receipts SET look_at = clock_timestamp() WHERE look_at IS NOT NULL RETURNING 1")
    assert await chain.rows("SELECT looks, look_at FROM receipts") == [{"looks": 15, "look_at": None}]


async def test_message_is_found_by_the_providers_id(chain: Chain, receiver: Receiver) -> None:
    asked = await sent(chain, request(plan=plan((SMS, 0))), sms=RememberingAccount(channel=SMS, message_id="SM7"))
    await receiver.told(ReceiptKind.DELIVERED, asked, reference=None, message_id="SM7")
    await receiver.told(ReceiptKind.DELIVERED, asked, reference=None, message_id="SM8")
    assert (await receiver.attempt(asked))[0] == "delivered"


async def test_hard_bounce_suppresses_the_address_and_brings_the_next_step_forward(
    chain: Chain, receiver: Receiver
) -> None:
    asked = await sent(chain)
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked, reason="dsn_5.1.1")
    assert await receiver.attempt(asked) == ("bounced", "hard_bounce dsn_5.1.1", 2)
    (told,) = await chain.published("respondent.suppressed")
    assert told == RespondentSuppressed(
        respondent_id="r1",
        channel=MAIL,
        reason=SuppressionReason.HARD_BOUNCE,
        until=NOW + 365 * DAY,
        address=address_fingerprint("r1@example.com").hex(),
        addresses=[ADDRESS_KEYS.fingerprint("r1@example.com").hex()],
    )
    account = RememberingAccount(channel=SMS)
    await chain.tick(sms=account)
    assert await chain.states(asked.invitation_id) == ["refused", "skipped", "sent", "planned"]
    assert len(account.taken) == 1


async def test_new_address_is_not_suppressed_like_the_old_one(chain: Chain, receiver: Receiver) -> None:
    asked = await sent(chain)
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked)
    same, moved = request(), request(contact={"email": "new@example.com"})
    await chain.take(same)
    await chain.tick(email=RememberingAccount())
    assert (await chain.step(same.invitation_id, 1))["state"] == "skipped"
    await chain.take(moved)
    await chain.tick(email=RememberingAccount())
    assert (await chain.step(moved.invitation_id, 1))["state"] == "sent"
    other = request("r2", contact={"email": "R1@example.com"})
    await chain.take(other)
    await chain.tick(email=RememberingAccount())
    assert (await chain.step(other.invitation_id, 1))["reason"] == "suppressed"


async def test_third_soft_bounce_within_thirty_days_suppresses_the_address_for_two_weeks(
    chain: Chain, receiver: Receiver
) -> None:
    for number in range(3):
        asked = await sent(chain, request(send_at=chain.clock.now(), expires_at=chain.clock.now() + 5 * DAY))
        await receiver.told(ReceiptKind.SOFT_BOUNCE, asked, reason="dsn_4.2.2")
        assert len(await receiver.suppressions()) == (number == 2)
        chain.clock.moment += timedelta(days=5)
    ((reason, channel, until),) = await receiver.suppressions()
    assert (reason, channel, until) == ("soft_bounce", "email", NOW + 10 * DAY + 14 * DAY)
    chain.clock.moment = until
    assert await release_expired(chain.database.sessions, chain.clock) == 1
    assert await receiver.suppressions() == []
    (released,) = await chain.published("respondent.released")
    assert released == RespondentReleased(
        respondent_id="r1", channel=MAIL, reason=SuppressionReason.SOFT_BOUNCE, until=until
    )


async def test_soft_bounces_far_apart_suppress_nobody(chain: Chain, receiver: Receiver) -> None:
    for _ in range(4):
        asked = await sent(chain, request(send_at=chain.clock.now(), expires_at=chain.clock.now() + 5 * DAY))
        await receiver.told(ReceiptKind.SOFT_BOUNCE, asked)
        chain.clock.moment += timedelta(days=16)
    assert await receiver.suppressions() == []


async def test_complaint_suppresses_mail_for_ever_and_ends_the_survey_but_no_other_survey_by_sms(
    chain: Chain, receiver: Receiver
) -> None:
    asked = await sent(chain)
    later = request(plan=plan((MAIL, 1), (SMS, 0)))
    await chain.take(later)
    await receiver.told(ReceiptKind.COMPLAINT, asked)
    assert await receiver.suppressions() == [("complaint", "email", None)]
    assert await chain.outcome(asked.invitation_id) == "declined"
    await chain.tick_at(NOW + 3 * DAY, email=RememberingAccount(), sms=RememberingAccount(channel=SMS))
    assert await chain.states(asked.invitation_id) == ["sent", "skipped", "skipped", "skipped"]
    assert await chain.states(later.invitation_id) == ["skipped", "sent"]


async def test_stop_by_text_message_also_ends_the_call_of_that_survey(chain: Chain, receiver: Receiver) -> None:
    asked = request("r1", plan=plan((SMS, 0), (CALL, 1)))
    by_mail = request("r1", plan=plan((MAIL, 0), (CALL, 1)))
    await chain.take(asked, by_mail)
    await chain.tick(email=RememberingAccount(), sms=RememberingAccount(channel=SMS))
    await receiver.told(ReceiptKind.STOP, asked, reference=None, phone=address_fingerprint("+15550001"))
    assert await chain.outcome(asked.invitation_id) == "declined"
    assert await chain.states(asked.invitation_id) == ["sent", "skipped"]
    assert await chain.outcome(by_mail.invitation_id) is None


async def test_bounce_of_the_last_step_ends_the_chain(chain: Chain, receiver: Receiver) -> None:
    asked = await sent(chain, request(plan=plan((MAIL, 0))))
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked)
    assert await chain.outcome(asked.invitation_id) == "undeliverable"


async def test_bounce_after_the_answer_changes_no_outcome(chain: Chain, receiver: Receiver) -> None:
    asked = await sent(chain)
    await chain.take(answered(asked))
    await receiver.told(ReceiptKind.HARD_BOUNCE, asked)
    assert await chain.outcome(asked.invitation_id) == "answered"
    assert (await receiver.attempt(asked))[0] == "bounced"


async def test_stop_suppresses_text_messages_for_every_respondent_with_the_number(
    chain: Chain, receiver: Receiver
) -> None:
    one = request("r1", plan=plan((SMS, 0), (SMS, 1), (CALL, 1)))
    two = request("r2", plan=plan((SMS, 0), (SMS, 1)))
    await chain.take(one, two, request("r3", contact={"phone": "+15550009"}, plan=plan((SMS, 0))))
    await chain.tick(sms=RememberingAccount(channel=SMS))
    await receiver.told(ReceiptKind.STOP, one, reference=None, phone=address_fingerprint("+15550001"))
    assert {each.respondent_id for each in await chain.published("respondent.suppressed")} == {"r1", "r2"}
    account = RememberingAccount(channel=SMS)
    await chain.tick_at(NOW + 2 * DAY, sms=account)
    assert account.taken == []
    await receiver.told(ReceiptKind.START, one, reference=None, phone=address_fingerprint("+15550001"))
    assert await receiver.suppressions() == []


async def test_stop_of_a_number_that_got_no_text_message_binds_it(chain: Chain, receiver: Receiver) -> None:
    mailed = await sent(chain, request("r1", plan=plan((MAIL, 0), (SMS, 1))))
    await receiver.told(ReceiptKind.STOP, mailed, reference=None, phone=address_fingerprint("+15550001"))
    assert [each.respondent_id for each in await chain.published("respondent.suppressed")] == ["r1"]
    account = RememberingAccount(channel=SMS)
    await chain.tick_at(NOW + 2 * DAY, sms=account)
    assert account.taken == []


async def test_stop_of_an_unknown_number_binds_whoever_has_it_later(chain: Chain, receiver: Receiver) -> None:
    number, account = "+15550042", RememberingAccount(channel=SMS)
    later = request("r7", contact={"phone": number}, plan=plan((SMS, 0)))
    await receiver.told(ReceiptKind.STOP, later, reference=None, phone=address_fingerprint(number))
    [suppressed] = await chain.published("respondent.suppressed")
    assert suppressed.respondent_id.startswith("number-")
    assert suppressed.addresses == [ADDRESS_KEYS.fingerprint(number).hex()]
    await chain.take(later)
    await chain.tick(sms=account)
    assert account.taken == []
    assert await chain.states(later.invitation_id) == ["skipped"]
    await receiver.told(ReceiptKind.START, later, reference=None, phone=address_fingerprint(number))
    assert await receiver.suppressions() == []


async def test_last_reply_counts_when_stop_and_start_come_together(chain: Chain, receiver: Receiver) -> None:
    asked = await sent(chain, request(plan=plan((SMS, 0))), sms=RememberingAccount(channel=SMS))
    phone: dict[str, Any] = {"reference": None, "phone": address_fingerprint("+15550001")}
    await receiver.bring(
        receiver.receipt(ReceiptKind.START, asked, **phone), receiver.receipt(ReceiptKind.STOP, asked, **phone)
    )
    await receiver.apply()
    assert await receiver.suppressions() == [("stop", "sms", None)]


class RefusingAccount(RememberingAccount):
    """Refuses every message with this reason."""

    reason = ""

    async def send_all(self, messages: Any, *, within_s: float) -> list[Disposition]:
        await super().send_all(messages, within_s=within_s)
        return [Disposition(SendResult.REFUSED, self.reason)] * len(messages)


async def test_refusal_that_names_a_blocked_number_suppresses_it(chain: Chain, receiver: Receiver) -> None:
    account = RefusingAccount(channel=SMS)
    account.reason = "smsc_8"
    asked = await sent(chain, request(plan=plan((SMS, 0), (SMS, 1))), sms=account)
    await receiver.apply()
    assert await receiver.suppressions() == [("blocked", "sms", NOW + 180 * DAY)]
    assert (await receiver.attempt(asked))[0] == "refused"


# --- asking what became of an unknown one


class UnknownAccount(RememberingAccount):
    async def send_all(self, messages: Any, *, within_s: float) -> list[Disposition]:
        await super().send_all(messages, within_s=within_s)
        return [Disposition(SendResult.UNKNOWN, "no_reply")] * len(messages)


async def unknown(
    chain: Chain, *, minutes_ago: int = 0, provider: str = "twilio"
) -> tuple[SurveyRequested, OutgoingMessage]:
    account = UnknownAccount(name=provider, channel=SMS)
    asked = await sent(chain, request(plan=plan((SMS, 0), (CALL, 2))), sms=account)
    assert await chain.rows("SELECT 1 FROM attempts WHERE ask_at < clock_timestamp() + interval '30 seconds'") == []
    (row,) = await chain.rows("SELECT id FROM attempts")
    earlier = UUID(int=row["id"].int - (minutes_ago * 60_000 << 80))  # as if recorded then
    await chain.rows("UPDATE attempts SET ask_at = clock_timestamp(), id = $1 RETURNING 1", earlier)
    return asked, account.taken[0]


@pytest.mark.parametrize(
    ("minutes_ago", "ours", "state"),
    [
        (0, {"status": "delivered"}, "delivered"),
        (0, {"status": "sent"}, "sent"),
        (0, {"status": "undelivered", "error_code": 30005}, "bounced"),
        (0, None, "unknown"),
        (15, None, "failed"),
    ],
)
async def test_twilio_is_asked_and_the_ledger_moves_forward(
    chain: Chain, receiver: Receiver, minutes_ago: int, ours: dict[str, Any] | None, state: str
) -> None:
    asked, message = await unknown(chain, minutes_ago=minutes_ago)
    async with gateway() as twilio:
        listed: list[dict[str, Any]] = [{"sid": "SM1", "status": "delivered", "body": "another"}]
        listed += [{"sid": "SM2", "body": message.body.decode(), **ours}] if ours else []
        twilio.answer = lambda _query: JSONResponse({"messages": listed})
        account = SmsAccount(Twilio(HttpClient(twilio.url), sid="AC1", sender="+1"))
        await SmsStatusPoller(chain.database.sessions, account, LINK_KEYS)()
        await account.close()
        assert twilio.paths == ["GET /2010-04-01/Accounts/AC1/Messages.json"]
        assert twilio.taken[0]["To"] == "+15550001"
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == state
    assert len(await chain.published("call.requested")) == 0
    if state == "failed":
        await chain.tick()
        assert len(await chain.published("call.requested")) == 1  # the next step is the retry, and is due at once


async def test_provider_without_a_status_is_asked_again_later_and_not_for_ever(chain: Chain) -> None:
    await unknown(chain)
    asked = 0
    async with gateway() as twilio:
        twilio.answer = lambda _query: JSONResponse({}, 500)
        account = SmsAccount(Twilio(HttpClient(twilio.url), sid="AC1", sender="+1"))
        for _ in range(10):
            await SmsStatusPoller(chain.database.sessions, account, LINK_KEYS)()
            sql = "UPDATE attempts SET ask_at = clock_timestamp() WHERE ask_at IS NOT NULL RETURNING 1"
            await chain.rows(sql)
        asked = len(twilio.taken)
        await account.close()
    assert asked == 7
    assert (await chain.rows("SELECT ask_at FROM attempts"))[0]["ask_at"] is None


async def test_two_processes_apply_a_receipt_once(chain: Chain, receiver: Receiver) -> None:
    invitations = [await sent(chain, request(f"r{number}")) for number in range(5)]
    await receiver.bring(*(receiver.receipt(ReceiptKind.HARD_BOUNCE, asked) for asked in invitations))
    await asyncio.gather(*(receiver.apply() for _ in range(4)))
    assert len(await chain.published("respondent.suppressed")) == 5
    assert {(await receiver.attempt(asked))[2] for asked in invitations} == {2}


async def test_gateway_is_not_asked_about_messages_of_another(chain: Chain, receiver: Receiver) -> None:
    asked, _ = await unknown(chain, minutes_ago=15, provider="smsc")
    async with gateway() as twilio:
        twilio.answer = lambda _query: JSONResponse({"messages": []})
        account = SmsAccount(Twilio(HttpClient(twilio.url), sid="AC1", sender="+1"))
        router = SmsRouter({"twilio": account}, {"*": ["twilio"]})
        await SmsStatusPoller(chain.database.sessions, account, LINK_KEYS)()
        await chain.rows("UPDATE attempts SET ask_at = clock_timestamp() RETURNING 1")
        await SmsStatusPoller(chain.database.sessions, router, LINK_KEYS)()
        assert twilio.taken == []
        await chain.rows("UPDATE attempts SET ask_at = clock_timestamp(), provider = 'sms' RETURNING 1")
        await SmsStatusPoller(
            chain.database.sessions, router, LINK_KEYS
        )()  # its sender was lost: the way it would have gone
        assert len(twilio.taken) == 1
        await router.close()
    await receiver.apply()
    assert (await receiver.attempt(asked))[0] == "failed"


# --- what a receipt does to contact caps


@pytest.mark.parametrize(
    ("kind", "state", "due"),
    [(ReceiptKind.DELIVERED, "planned", NOW + 7 * DAY), (ReceiptKind.SOFT_BOUNCE, "sent", None)],
)
async def test_receipt_keeps_the_time_of_the_contact_and_a_bounce_is_no_contact(
    chain: Chain, receiver: Receiver, kind: ReceiptKind, state: str, due: datetime | None
) -> None:
    asked = await sent(chain, request(plan=plan((MAIL, 0))))
    chain.clock.moment = NOW + 5 * DAY
    await receiver.told(kind, asked)
    again = request(plan=plan((MAIL, 0)), contact_caps=[ContactCap(name="one a week", limit=1, days=7)])
    await chain.take(again)
    await chain.tick()
    step = await chain.step(again.invitation_id, 1)
    assert (step["state"], step["due_at"]) == (state, due)


# --- a country's ceiling


async def test_messages_to_one_country_end_at_its_ceiling(chain: Chain) -> None:
    numbers = ["+79161234567", "+79161234568", "+79161234569", "+4915112345678", "+88213000000"]
    await chain.take(
        *(request(f"r{i}", contact={"phone": phone}, plan=plan((SMS, 0))) for i, phone in enumerate(numbers))
    )
    account = RememberingAccount(channel=SMS)
    sender = chain.sender(SMS, account, country_ceilings={"RU": 2, "DE": 5})
    await sender.perform_due()
    assert sorted(message.recipient[:3] for message in account.taken) == ["+49", "+79", "+79"]
    moved = await chain.rows("SELECT reason, due_at FROM due")
    assert {(row["reason"], row["due_at"].date()) for row in moved} == {("country_ceiling", (NOW + DAY).date())}
