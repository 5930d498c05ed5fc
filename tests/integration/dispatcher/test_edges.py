"""Boundary cases: which step is claimed first, when a suppression ends, how long receipts are kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from starlette.responses import JSONResponse

from services.dispatcher.channels.sms import Inquiry
from services.dispatcher.domain.receipt_effects import AttemptAdvance
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, Reference
from services.dispatcher.domain.steps import LeasedStep, MoveReason, OutgoingMessage, SendResult, StepState
from services.dispatcher.jobs.receipts import SmsStatusPoller, release_expired
from services.dispatcher.repository import counts, receipts, steps, suppressions
from services.dispatcher.sending.triage import ReadyStep, TriagedSteps
from shared.contract.events import RespondentSuppressed
from shared.contract.vocabulary import AttemptState, ChannelKind, SuppressionReason
from shared.database import db
from shared.ids import first_id
from tests.fakes import gateway
from tests.integration.dispatcher.channels.test_sms import results, sms
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
from tests.integration.dispatcher.test_receipts import Receiver, sent

MAIL, SMS = ChannelKind.EMAIL, ChannelKind.SMS


async def test_oldest_due_step_is_claimed_first(chain: Chain) -> None:
    asked = [request(f"r{age}", send_at=NOW - timedelta(hours=age), plan=plan((MAIL, 0))) for age in (1, 3, 2)]
    await chain.take(*asked)
    claimed = []
    for _each in asked:
        async with chain.database.sessions.begin() as session:
            for scan in ("indexscan", "bitmapscan"):  # an index in this order must not be what makes it so
                await db.fetch(session, f"SET LOCAL enable_{scan} = off")
            claimed += await steps.claim_due(session, MAIL, now=NOW, limit=1)
    assert [each.due_at for each in claimed] == [NOW - timedelta(hours=age) for age in (3, 2, 1)]


async def test_oldest_due_step_is_found_by_its_index(chain: Chain) -> None:
    """It is read many times a second."""
    await chain.take(*(request(f"r{number}", send_at=NOW + DAY) for number in range(400)))
    await chain.rows("ANALYZE due")
    channels = list(ChannelKind)
    async with chain.database.sessions.begin() as session:
        explained = await db.fetch(session, f"EXPLAIN {counts._OLDEST_DUE}", NOW, channels)
    text = "\n".join(row[0] for row in explained)
    assert "using due_first" in text
    assert "Index Cond: ((channel = " in text


async def test_suppression_ends_at_its_time(chain: Chain) -> None:
    for until, states in ((NOW + timedelta(seconds=1), ["skipped"]), (NOW, ["sent"])):
        asked = request(f"r{until.second}", plan=plan((MAIL, 0)))
        suppressed = RespondentSuppressed(
            respondent_id=asked.respondent_id, channel=MAIL, reason=SuppressionReason.SOFT_BOUNCE, until=until
        )
        async with chain.database.sessions.begin() as session:
            await suppressions.add(session, [suppressed], at=NOW - DAY)
        await chain.take(asked)
        await chain.sender(MAIL, RememberingAccount()).perform_due()
        assert await chain.states(asked.invitation_id) == states


async def test_bounce_of_a_new_address_binds_it_beside_the_old_one(chain: Chain) -> None:
    receiver, both = Receiver(chain), ("old@example.com", "new@example.com")
    for address in both:
        await receiver.told(
            ReceiptKind.HARD_BOUNCE, await sent(chain, request(contact={"email": address}, plan=plan((MAIL, 0))))
        )
    *_, told = await chain.published("respondent.suppressed")
    assert told.addresses == sorted(ADDRESS_KEYS.fingerprint(each).hex() for each in both)
    for address in both:
        again = request(contact={"email": address}, plan=plan((MAIL, 0)))
        await chain.take(again)
        await chain.sender(MAIL, RememberingAccount()).perform_due()
        assert (await chain.step(again.invitation_id, 1))["reason"] == "suppressed"


def test_step_postponed_to_the_expiry_is_skipped_and_one_before_it_postponed() -> None:
    asked = request()
    held = LeasedStep(asked.invitation_id, 1, asked.invitation_id, MAIL, 0, NOW)
    found = TriagedSteps([], [], [])
    before = asked.expires_at - timedelta(seconds=1)
    for until in (asked.expires_at, before):
        found.postpone(ReadyStep.of(held, asked, 0), until, MoveReason.CONTACT_CAP)
    assert [each.result.state for each in found.finished] == [StepState.SKIPPED]
    assert [until for _, until, _ in found.postponed] == [before]


async def test_suspect_answer_closes_no_invitation(chain: Chain) -> None:
    asked = request()
    await chain.take(asked)
    await chain.take(answered(asked).model_copy(update={"suspect": True}))
    assert await chain.outcome(asked.invitation_id) is None
    account = RememberingAccount()
    await chain.tick(email=account)
    assert len(account.taken) == 1
    await chain.take(answered(asked))
    assert await chain.outcome(asked.invitation_id) == "answered"


async def test_state_that_an_attempt_already_has_changes_nothing(chain: Chain) -> None:
    receiver = Receiver(chain)
    asked = await sent(chain)
    await receiver.told(ReceiptKind.DELIVERED, asked)
    (attempt,) = await chain.rows("SELECT id FROM attempts")
    async with chain.database.sessions.begin() as session:
        again = AttemptAdvance(attempt["id"], AttemptState.DELIVERED, "said_again")
        assert await receipts.advance(session, [again]) == []
    assert await receiver.attempt(asked) == ("delivered", None, 2)


async def test_receipts_are_deleted_when_they_are_old_and_not_before(chain: Chain) -> None:
    receiver = Receiver(chain)
    asked = await sent(chain)
    await receiver.told(ReceiptKind.DELIVERED, asked, key="old")
    await receiver.told(ReceiptKind.COMPLAINT, asked, key="fresh")
    almost = receipts.KEPT - timedelta(hours=1)
    for key, age in (("old", receipts.KEPT + timedelta(hours=1)), ("fresh", almost)):
        await chain.rows("UPDATE receipts SET stored_at = clock_timestamp() - $2::interval WHERE key = $1", key, age)

    await release_expired(chain.database.sessions, chain.clock)

    assert await chain.rows("SELECT key FROM receipts") == [{"key": "fresh"}]


class Asking:
    """A provider's account that records its inquiries."""

    def __init__(self) -> None:
        self.days: list[date] = []

    async def ask(self, inquiry: Inquiry) -> Receipt | None:
        self.days.append(inquiry.sent_on)
        return None


@pytest.mark.parametrize(
    ("recorded", "day"),
    [
        (datetime(2026, 3, 2, 0, 0, 5, tzinfo=UTC), date(2026, 3, 1)),  # it left before midnight and was recorded after
        (datetime(2026, 3, 2, 0, 6, tzinfo=UTC), date(2026, 3, 2)),
    ],
)
async def test_provider_is_asked_about_the_day_the_message_was_sent(
    chain: Chain, recorded: datetime, day: date
) -> None:
    account = RememberingAccount(channel=SMS, answers={"+15550001": SendResult.UNKNOWN})
    await sent(chain, request(plan=plan((SMS, 0))), sms=account)
    await chain.rows("UPDATE attempts SET id = $1, ask_at = clock_timestamp()", first_id(recorded))
    asking = Asking()
    await SmsStatusPoller(chain.database.sessions, asking, LINK_KEYS)()
    assert asking.days == [day]


@pytest.mark.parametrize(("listed", "proven"), [(49, True), (50, False)])
async def test_full_page_of_twilio_does_not_prove_that_a_message_was_not_accepted(listed: int, *, proven: bool) -> None:
    async with gateway() as server:
        account = sms(server.url)
        others = [{"sid": f"SM{number}", "body": "another", "status": "sent"} for number in range(listed)]
        server.answer = lambda _form: JSONResponse({"messages": others})
        inquiry = Inquiry(
            Reference(first_id(NOW), 1), "+15550001", "/s/abc.1", NOW.date(), settled=True, provider="twilio"
        )
        found = await account.ask(inquiry)
        await account.close()
    assert (found is not None) is proven


@pytest.mark.parametrize(("characters", "result"), [(4 * 153, SendResult.SENT), (4 * 153 + 1, SendResult.REFUSED)])
async def test_text_of_four_segments_is_sent_and_of_five_refused(characters: int, result: SendResult) -> None:
    async with gateway() as server:
        message = OutgoingMessage(first_id(NOW), 3, SMS, "+15550001", "", b"a" * characters)
        found = await results(sms(server.url), message)
    assert [each.result for each in found] == [result]
