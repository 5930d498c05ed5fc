"""Events of dispatcher and scoring: answers, ends of invitations, suppressions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.handlers.feedback import on_feedback
from shared.contract import cloudevents
from shared.contract.cloudevents import Event
from shared.contract.events import (
    AnswerAmended,
    InvitationClosed,
    Payload,
    ProgramRef,
    RespondentOptedOut,
    RespondentReleased,
    RespondentSuppressed,
    SurveyAnswered,
)
from shared.contract.vocabulary import (
    AnswerMode,
    ChannelKind,
    InvitationOutcome,
    Service,
    SuppressionReason,
    address_fingerprint,
    category_of,
)
from shared.database import db
from tests.integration.trigger.samples import (
    CUSTOMER,
    NOW,
    SETTINGS,
    cancellation,
    count,
    decide,
    known_respondents,
    later,
    purchase,
    reasons,
)


def events_of(*payloads: Payload) -> list[Event[Payload]]:
    return [cloudevents.new(payload, service=Service.SCORING, at=NOW) for payload in payloads]


async def handle(database: db.Database, events: Sequence[Event[Payload]]) -> None:
    async with database.sessions.begin() as session:
        await on_feedback(session, events, now=NOW, settings=SETTINGS)


def answer(
    invitation: UUID, score: int, *, kind: type[SurveyAnswered | AnswerAmended] = SurveyAnswered, at: datetime = NOW
) -> SurveyAnswered | AnswerAmended:
    return kind(
        respondent_id="c1",
        invitation_id=invitation,
        customer_id="c1",
        answer_id=uuid4(),
        version=1 if kind is SurveyAnswered else 2,
        program=ProgramRef(id="after-purchase", version=1),
        score=score,
        category=category_of(score),
        mode=AnswerMode.SELF,
        step=1,
        answered_at=at,
    )


def closed(invitation: UUID, outcome: InvitationOutcome) -> InvitationClosed:
    return InvitationClosed(respondent_id="c1", invitation_id=invitation, outcome=outcome, at=NOW)


def suppressed(*, channel: ChannelKind | None = None, until: datetime | None = None) -> RespondentSuppressed:
    return RespondentSuppressed(respondent_id="c1", channel=channel, reason=SuppressionReason.HARD_BOUNCE, until=until)


_STATE = """SELECT state FROM touchpoints AS t
WHERE coalesce(t.invitation_id, (SELECT d.invitation_id FROM decisions AS d WHERE d.id = t.decision_id)) = $1"""


async def asked(database: db.Database) -> UUID:
    (verdict,) = await decide(database, [purchase("e1", order="1")])
    assert isinstance(verdict, StoredDecision)
    assert verdict.invitation_id is not None
    return verdict.invitation_id


async def state(database: db.Database, invitation: UUID) -> str:
    async with database.sessions() as session:
        (row,) = await db.fetch(session, _STATE, invitation)
    return str(row["state"])


async def test_answered_survey_is_not_withdrawn(installed: db.Database) -> None:
    invitation = await asked(installed)
    await handle(installed, events_of(answer(invitation, 9)))
    assert await reasons(installed, [cancellation("e2", order="1")]) == ["nothing_to_withdraw"]
    assert await state(installed, invitation) == "answered"


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_answered_state_is_final_in_any_order_of_events(installed: db.Database, order: Sequence[int]) -> None:
    invitation = await asked(installed)
    events = events_of(
        closed(invitation, InvitationOutcome.EXPIRED),
        answer(invitation, 3),
        closed(invitation, InvitationOutcome.ANSWERED),
    )
    for place in order:
        await handle(installed, [events[place]])
    assert await state(installed, invitation) == "answered"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(InvitationOutcome.WITHDRAWN, "withdrawn"), (InvitationOutcome.EXHAUSTED, "closed")],
)
async def test_closed_invitation_is_remembered(
    installed: db.Database, outcome: InvitationOutcome, expected: str
) -> None:
    invitation = await asked(installed)
    await handle(installed, events_of(closed(invitation, outcome)))
    assert await state(installed, invitation) == expected


async def test_last_category_is_that_of_the_newest_answer(installed: db.Database) -> None:
    invitation = await asked(installed)
    newest = answer(invitation, 10, kind=AnswerAmended, at=later(hours=1))
    await handle(installed, events_of(newest))
    await handle(installed, events_of(answer(invitation, 2)))
    async with installed.sessions() as session:
        (row,) = await db.fetch(session, "SELECT last_category, last_answered_at FROM respondents WHERE id = 'c1'")
    assert (row["last_category"], row["last_answered_at"]) == ("promoter", later(hours=1))


async def test_suspect_answer_is_ignored(installed: db.Database) -> None:
    invitation = await asked(installed)
    await handle(installed, events_of(answer(invitation, 0).model_copy(update={"suspect": True})))
    assert await state(installed, invitation) == "open"
    (known,) = await known_respondents(installed)
    assert known.last_category is None
    assert "answer" not in known.last_contacts


async def test_anonymous_answer_is_stored_with_nobody(installed: db.Database) -> None:
    invitation = await asked(installed)
    nobody = {"anonymous": True, "respondent_id": "anonymous-1", "customer_id": "anonymous-1"}
    unknown = answer(uuid4(), 0).model_copy(update=nobody)
    before = await known_respondents(installed)
    await handle(installed, events_of(unknown, closed(invitation, InvitationOutcome.ANSWERED)))
    assert await known_respondents(installed) == before
    assert await state(installed, invitation) == "answered"


async def test_repeated_event_is_handled_once(installed: db.Database) -> None:
    events = events_of(suppressed())
    release = events_of(RespondentReleased(respondent_id="c1", reason=SuppressionReason.HARD_BOUNCE))
    await handle(installed, events)
    await handle(installed, release)
    await handle(installed, [*events, *release])
    assert await count(installed, "suppressions") == 0


async def test_suppressed_customer_is_not_asked_until_released(installed: db.Database) -> None:
    await handle(installed, events_of(suppressed()))
    assert await reasons(installed, [purchase("e1")]) == ["suppressed"]
    await handle(installed, events_of(RespondentReleased(respondent_id="c1", reason=SuppressionReason.HARD_BOUNCE)))
    assert await reasons(installed, [purchase("e2")]) == ["asked"]


async def test_last_of_suppression_and_release_in_one_batch_counts(installed: db.Database) -> None:
    release = RespondentReleased(respondent_id="c1", reason=SuppressionReason.HARD_BOUNCE)
    await handle(installed, events_of(suppressed(), release, suppressed(until=later(days=1))))
    assert await reasons(installed, [purchase("e1")]) == ["suppressed"]
    assert await reasons(installed, [purchase("e2")], now=later(days=1)) == ["asked"]


async def test_one_suppressed_channel_leaves_the_others(installed: db.Database) -> None:
    await handle(installed, events_of(suppressed(channel=ChannelKind.EMAIL)))
    reachable = {**CUSTOMER, "phone": "+79161234567", "consent": {"sms": True}}
    sent = [purchase("e1"), purchase("e2", customer=reachable)]
    assert await reasons(installed, sent) == ["suppressed", "asked"]


async def test_suppression_of_an_address_ends_with_it(installed: db.Database) -> None:
    bounced = suppressed(channel=ChannelKind.EMAIL)
    opted_out = bounced.model_copy(update={"reason": SuppressionReason.COMPLAINT, "program": "other"})
    await handle(installed, events_of(bounced, opted_out, suppressed(channel=ChannelKind.SMS)))
    assert await reasons(installed, [purchase("e1"), purchase("e2", customer={"id": "c1"})]) == ["suppressed"] * 2
    moved = {**CUSTOMER, "email": "ann@new.example"}
    assert await reasons(installed, [purchase("e3", customer=moved)]) == ["asked"]
    async with installed.sessions() as session:
        rows = await db.fetch(session, "SELECT channel, reason FROM suppressions ORDER BY reason")
    assert [tuple(row) for row in rows] == [("email", "complaint"), ("sms", "hard_bounce")]


async def test_bounce_of_an_address_that_was_replaced_meanwhile_suppresses_nobody(installed: db.Database) -> None:
    moved = {**CUSTOMER, "email": "ann@new.example"}
    assert await reasons(installed, [purchase("e1"), purchase("e2", customer=moved)]) == ["asked", "quarantined"]
    bounced = suppressed(channel=ChannelKind.EMAIL)
    of_old, of_new = (address_fingerprint(address).hex() for address in (CUSTOMER["email"], "Ann@New.example"))
    await handle(installed, events_of(bounced.model_copy(update={"address": of_old})))
    assert await reasons(installed, [purchase("e3", customer=moved)]) == ["quarantined"]
    await handle(installed, events_of(bounced.model_copy(update={"address": of_new})))
    assert await reasons(installed, [purchase("e4", customer=moved)]) == ["suppressed"]


async def test_bounce_stays_if_the_old_address_is_not_known_any_more(installed: db.Database) -> None:
    await handle(installed, events_of(suppressed(channel=ChannelKind.EMAIL)))
    assert await reasons(installed, [purchase("e1")]) == ["suppressed"]


async def test_opt_out_on_the_answer_page_is_for_every_channel(installed: db.Database) -> None:
    invitation = await asked(installed)
    await handle(installed, events_of(RespondentOptedOut(respondent_id="c1", invitation_id=invitation, at=NOW)))
    assert await reasons(installed, [purchase("e2", at=later(days=99))], now=later(days=99)) == ["suppressed"]


async def test_feedback_about_somebody_unknown_changes_nothing_else(installed: db.Database) -> None:
    await handle(installed, events_of(answer(uuid4(), 5), closed(uuid4(), InvitationOutcome.EXPIRED)))
    assert await count(installed, "respondents") == 0
