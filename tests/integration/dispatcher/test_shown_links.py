"""A step `link` has happened when its invitation is stored; the chain goes on after it."""

from __future__ import annotations

import pytest

from services.dispatcher.domain.chain import first_due
from services.dispatcher.domain.steps import PlannedStep
from shared.contract.events import Contact, ContactAttempted, ContactCap, RespondentContactAdded, RespondentOptedOut
from shared.contract.vocabulary import AttemptState, ChannelKind
from tests.integration.dispatcher.conftest import (
    ADDRESS_KEYS,
    DAY,
    NOW,
    Chain,
    RememberingAccount,
    answered,
    plan,
    request,
)

LINK, EMAIL = ChannelKind.LINK, ChannelKind.EMAIL


async def test_chain_goes_on_by_mail_a_day_after_the_link(chain: Chain) -> None:
    account = RememberingAccount()
    asked = request(plan=plan((LINK, 0), (EMAIL, 1), (EMAIL, 2)))
    await chain.take(asked)
    assert await chain.states(asked.invitation_id) == ["sent", "planned", "waiting"]
    [shown] = await chain.published("contact.attempted")
    assert isinstance(shown, ContactAttempted)
    assert (shown.step, shown.channel, shown.state, shown.provider) == (1, LINK, AttemptState.SENT, "shop")
    await chain.tick(email=account)
    assert account.taken == []
    await chain.tick_at(NOW + DAY, email=account)
    assert len(account.taken) == 1
    assert await chain.states(asked.invitation_id) == ["sent", "sent", "planned"]


async def test_answer_given_by_the_link_ends_the_chain(chain: Chain) -> None:
    account = RememberingAccount()
    asked = request(plan=plan((LINK, 0), (EMAIL, 1)))
    await chain.take(asked)
    await chain.take(answered(asked))
    await chain.tick_at(NOW + 2 * DAY, email=account)
    assert account.taken == []
    assert await chain.outcome(asked.invitation_id) == "answered"


async def test_link_that_nobody_used_ends_as_exhausted(chain: Chain) -> None:
    asked = request(plan=plan((LINK, 0)), contact=Contact())
    await chain.take(asked)
    assert await chain.states(asked.invitation_id) == ["sent"]
    await chain.tick_at(asked.expires_at)
    assert await chain.outcome(asked.invitation_id) == "exhausted"


async def test_chain_goes_on_to_an_address_that_comes_later(chain: Chain) -> None:
    account = RememberingAccount()
    asked = request(plan=plan((LINK, 0), (EMAIL, 1)), contact=Contact())
    reached = request("r2", plan=plan((LINK, 0), (EMAIL, 1)), contact=Contact(email="old@example.com"))
    await chain.take(asked, reached)
    late = Contact(email="late@example.com", phone="+15550001")
    for each in (asked, reached):
        await chain.take(RespondentContactAdded(respondent_id=each.respondent_id, contact=late))
    await chain.tick_at(NOW + DAY, email=account)
    assert sorted(message.recipient for message in account.taken) == ["late@example.com", "old@example.com"]
    rows = await chain.rows(
        """SELECT email_fingerprint = $1 AS email, phone_fingerprint = $2 AS phone FROM invitations
ORDER BY respondent_id""",
        *(ADDRESS_KEYS.fingerprint(address) for address in ("late@example.com", "+15550001")),
    )
    assert rows == [{"email": True, "phone": True}, {"email": False, "phone": True}]


async def test_address_that_comes_later_is_bound_by_an_opt_out_of_another_id(chain: Chain) -> None:
    account = RememberingAccount()
    late = Contact(email="late@example.com")
    other, asked = request("other", contact=late), request(plan=plan((LINK, 0), (EMAIL, 1)), contact=Contact())
    await chain.take(other, asked)
    await chain.take(RespondentOptedOut(respondent_id="other", invitation_id=other.invitation_id, at=NOW))
    await chain.take(RespondentContactAdded(respondent_id=asked.respondent_id, contact=late))
    await chain.tick_at(NOW + DAY, email=account)
    assert account.taken == []


async def test_link_counts_towards_no_contact_cap(chain: Chain) -> None:
    account = RememberingAccount()
    cap = ContactCap(name="one a week", limit=1, days=7)
    asked = request(plan=plan((LINK, 0), (EMAIL, 1)), contact_caps=[cap])
    await chain.take(asked)
    await chain.tick_at(NOW + DAY, email=account)
    assert len(account.taken) == 1


@pytest.mark.parametrize(
    ("steps", "due"),
    [
        ([(EMAIL, 1)], PlannedStep(1, EMAIL, NOW + DAY)),
        ([(LINK, 0), (EMAIL, 1)], PlannedStep(2, EMAIL, NOW + DAY)),
        ([(LINK, 2), (EMAIL, 1)], PlannedStep(2, EMAIL, NOW + 3 * DAY)),
        ([(EMAIL, 0), (LINK, 1)], PlannedStep(1, EMAIL, NOW)),
        ([(LINK, 0)], None),
    ],
)
def test_first_contact_is_due_after_the_delays_before_it(steps: list[tuple[ChannelKind, float]], due: object) -> None:
    assert first_due(request(plan=plan(*steps))) == due
