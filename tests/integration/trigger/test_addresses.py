"""Caps and suppressions hold for an address, whichever customers name it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.trigger.handlers.feedback import on_feedback
from shared.contract.cloudevents import Event
from shared.contract.events import (
    Payload,
    RespondentOptedOut,
    RespondentReleased,
    RespondentSuppressed,
    SurveyRequested,
)
from shared.contract.vocabulary import ChannelKind, SuppressionReason, address_fingerprint
from shared.database import db
from shared.database.db import Database
from tests.integration.trigger.samples import (
    NOW,
    SETTINGS,
    body,
    count,
    decide,
    later,
    published,
    purchase,
    reasons,
)
from tests.integration.trigger.test_identities import decided

OLGA = "olga@example.com"
BOUND = SETTINGS.address_keys.fingerprint(OLGA)


def guest(id_: str, email: str | None = OLGA, **more: Any) -> dict[str, Any]:
    return {"id": id_, "email": email, **more}


async def hear(database: Database, *payloads: Payload) -> None:
    async with database.sessions.begin() as session:
        number = (await db.fetch(session, "SELECT count(*) FROM inbox"))[0][0]
        events = [Event(f"f{number + n}", "earshot/dispatcher", NOW, one) for n, one in enumerate(payloads)]
        await on_feedback(session, events, now=NOW, settings=SETTINGS)


def suppressed(
    reason: SuppressionReason, channel: ChannelKind | None = None, *addresses: bytes
) -> RespondentSuppressed:
    bound = [each.hex() for each in addresses or (BOUND,)]
    return RespondentSuppressed(respondent_id="c-1", channel=channel, reason=reason, addresses=bound)


async def test_guest_with_a_new_id_at_every_checkout_is_asked_once(installed: Database) -> None:
    (first,) = await decided(installed, [purchase("a1", order="A1", customer=guest("111"))])
    (second,) = await decided(installed, [purchase("a2", order="A2", customer=guest("222", "Olga@Example.com "))])
    assert (first.reason, second.reason) == ("asked", "quarantined")
    assert second.trail[0]["facts"]["same_address_as"] == ["111"]


async def test_two_guests_with_one_address_in_one_batch_are_asked_once(installed: Database) -> None:
    sent = [purchase("a1", customer=guest("111")), purchase("a2", customer=guest("222"))]
    assert await reasons(installed, sent) == ["asked", "quarantined"]


async def test_phone_is_an_identity_too(installed: Database) -> None:
    sent = [
        purchase("a1", customer=guest("111", "one@example.com", phone="+7 916 123-45-67")),
        purchase("a2", customer=guest("222", "two@example.com", phone="+79161234567")),
    ]
    assert await reasons(installed, sent) == ["asked", "quarantined"]


async def test_quarantine_of_an_address_ends(installed: Database) -> None:
    await decide(installed, [purchase("a1", customer=guest("111"))])
    sent = purchase("a2", at=later(days=400), customer=guest("222"))
    assert await reasons(installed, [sent], now=later(days=400)) == ["asked"]


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
async def test_two_customers_with_one_address_at_the_same_time_are_asked_once(
    installed: Database, *, known: bool
) -> None:
    ids = [f"c{number}" for number in range(8)]
    if known:
        updates = [body("customer.updated", f"u{id_}", customer=guest(id_)) for id_ in ids]
        await decide(installed, updates)
    sent = [[purchase(f"e{id_}", customer=guest(id_))] for id_ in ids]
    found = [reason for one in await asyncio.gather(*(reasons(installed, each) for each in sent)) for reason in one]
    assert sorted(found) == ["asked", *["quarantined"] * 7]
    assert await asked_in(installed) == 1


async def test_hundred_random_batches_at_once_neither_deadlock_nor_ask_an_address_twice(installed: Database) -> None:
    draw = random.Random(14)
    addresses = [f"a{number}@example.com" for number in range(20)]
    phones = [f"+7916123450{number}" for number in range(10)]
    batches = [
        [
            purchase(
                f"e{batch}-{number}",
                customer=guest(f"c{draw.randrange(60)}", draw.choice(addresses), phone=draw.choice(phones)),
            )
            for number in range(5)
        ]
        for batch in range(100)
    ]
    limit = asyncio.Semaphore(8)

    async def one(sent: Sequence[dict[str, Any]]) -> None:
        async with limit:
            await reasons(installed, sent)

    await asyncio.gather(*(one(sent) for sent in batches))
    requests = [e.payload for e in await published(installed) if isinstance(e.payload, SurveyRequested)]
    emails = [request.contact.email for request in requests]
    assert await count(installed, "decisions") == 500
    assert emails
    assert len(set(emails)) == len(emails)


async def asked_in(database: Database) -> int:
    return sum(isinstance(event.payload, SurveyRequested) for event in await published(database))


@pytest.mark.parametrize(
    "reason", [SuppressionReason.OPT_OUT, SuppressionReason.COMPLAINT, SuppressionReason.HARD_BOUNCE]
)
async def test_address_that_said_no_is_suppressed_under_any_id(installed: Database, reason: SuppressionReason) -> None:
    await decide(installed, [purchase("a1", customer=guest("c-1"))])
    await hear(installed, suppressed(reason))
    sent = purchase("a2", customer=guest("olga"))
    assert await reasons(installed, [sent]) == ["suppressed"]


async def test_opt_out_on_the_answer_page_binds_the_addresses(installed: Database) -> None:
    await decide(installed, [purchase("a1", customer=guest("c-1"))])
    await hear(installed, RespondentOptedOut(respondent_id="c-1", invitation_id=UUID(int=1), at=NOW))
    assert await reasons(installed, [purchase("a2", customer=guest("c-2"))]) == ["suppressed"]


async def test_released_address_may_be_asked_again(installed: Database) -> None:
    said_no = suppressed(SuppressionReason.OPT_OUT)
    await hear(installed, said_no, RespondentReleased(**said_no.model_dump()))
    assert await reasons(installed, [purchase("a2", customer=guest("c-2"))]) == ["asked"]


async def test_bounced_address_stays_bound_when_it_was_replaced_and_comes_back(installed: Database) -> None:
    await decide(installed, [purchase("a1", order="1", customer=guest("c-1"))])
    of_one = address_fingerprint(OLGA).hex()
    bounced = RespondentSuppressed(
        respondent_id="c-1", channel=ChannelKind.EMAIL, reason=SuppressionReason.HARD_BOUNCE, address=of_one
    )
    await hear(installed, bounced)
    updated = [
        body("customer.updated", f"u{n}", at=NOW + timedelta(minutes=n), customer=guest("c-1", email))
        for n, email in enumerate(("new@example.com", OLGA))
    ]
    await decide(installed, updated, now=later(hours=1))
    sent = purchase("a2", order="2", at=later(days=200), customer=guest("c-1"))
    assert await reasons(installed, [sent], now=later(days=200)) == ["suppressed"]


async def test_suppression_of_one_channel_leaves_the_others(installed: Database) -> None:
    await hear(
        installed,
        suppressed(SuppressionReason.STOP, ChannelKind.SMS, SETTINGS.address_keys.fingerprint("+79161234567")),
    )
    sent = purchase("a1", customer=guest("c-1", phone="+79161234567"))
    (stored,) = await decided(installed, [sent])
    assert (stored.reason, stored.trail[0]["facts"]["channels"]) == ("asked", ["email"])


async def test_address_of_many_ids_is_no_identity_but_stays_suppressed(installed: Database) -> None:
    found = await reasons(installed, [purchase(f"e{n}", customer=guest(f"till-{n}")) for n in range(12)])
    assert found == ["asked", *["quarantined"] * 9, "asked", "asked"]
    (stored,) = await decided(installed, [purchase("e12", customer=guest("till-12"))])
    assert (stored.reason, stored.trail[0]["facts"]["shared_address"]) == ("asked", True)
    await hear(installed, suppressed(SuppressionReason.OPT_OUT))
    assert await reasons(installed, [purchase("e13", customer=guest("till-13"))]) == ["suppressed"]


async def test_erasure_keeps_of_an_address_only_who_said_no(installed: Database) -> None:
    await decide(installed, [purchase("a1", customer=guest("c-1"))])
    await hear(installed, suppressed(SuppressionReason.OPT_OUT, None, address_fingerprint(OLGA)))
    await hear(installed, suppressed(SuppressionReason.HARD_BOUNCE, ChannelKind.EMAIL))
    await decide(installed, [body("customer.erased", "x1", customer={"id": "c-1"})])
    assert await count(installed, "addresses") == 0
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT fingerprint, reason FROM address_suppressions")
    assert [tuple(row) for row in rows] == [(BOUND, "opt_out")]
    assert await reasons(installed, [purchase("a2", customer=guest("c-2"))]) == ["suppressed"]


async def test_only_who_is_asked_gets_rows(installed: Database) -> None:
    sent = [
        purchase("a1", at=later(days=-300), customer=guest("c-1")),
        body("customer.updated", "a2", customer=guest("c-2")),
    ]
    assert await reasons(installed, sent) == ["too_old", "no_program"]
    assert await count(installed, "addresses") == 0
