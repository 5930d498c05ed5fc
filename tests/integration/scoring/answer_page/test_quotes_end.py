"""Whoever shows quotes elsewhere hears when the words may be shown no more, whatever ends the consent."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from shared.contract.events import QuoteConsentChanged, RespondentErased, SurveyRequested
from tests.integration.scoring.answer_page.test_quotes import commented, consents, say
from tests.integration.scoring.jobs.test_retention import KEPT, as_if_answered_when_asked, job, made
from tests.integration.scoring.receiver import deliver, endpoint, receiver
from tests.integration.scoring.stand import NOW, Scoring

GIVEN, ENDED = (True, "Olga"), (False, None)


async def quoted(scoring: Scoring, client: httpx2.AsyncClient, **changes: Any) -> SurveyRequested:
    request = await commented(scoring, **changes)
    await say(client, request, quote="1", by="first")
    return request


async def about(scoring: Scoring) -> QuoteConsentChanged:
    """Return the last event about a consent."""
    payload = (await scoring.published("quote.consent_changed"))[-1].payload
    assert isinstance(payload, QuoteConsentChanged)
    return payload


async def test_erasure_ends_the_consent_for_everybody(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await quoted(scoring, client)
    before = await about(scoring)
    async with receiver() as hook:
        await endpoint(scoring, hook.url, types=["quote.consent_changed"])
        for _ in range(2):
            await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
        await deliver(scoring)
        [taken] = hook.taken
    assert (json.loads(taken.body)["data"]["given"], await consents(scoring)) == (False, [GIVEN, ENDED])
    after = await about(scoring)
    same = "answer_id", "respondent_id", "invitation_id", "program"
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert after.at == scoring.clock.now()


@pytest.mark.parametrize("anonymous", [False, True])
async def test_retention_ends_the_consent(scoring: Scoring, client: httpx2.AsyncClient, anonymous: bool) -> None:  # noqa: FBT001 - a case
    requests = []
    for age in (KEPT.days + 31, KEPT.days + 30, 1):
        scoring.clock.moment = NOW - timedelta(days=age)
        asked = {"invitation_id": made(age), "expires_at": scoring.clock.moment + timedelta(days=21)}
        requests.append(await quoted(scoring, client, anonymous=anonymous, call_back=not anonymous, **asked))
    withdrew, old, _ = requests
    await say(client, withdrew)
    scoring.clock.moment = NOW
    while await scoring.tick():
        pass
    await scoring.rows("UPDATE quotes q SET answer_id = a.invitation_id FROM answers a WHERE q.answer_id = a.answer_id")
    await as_if_answered_when_asked(scoring)
    before = len(await consents(scoring))
    for _ in range(2):
        await job(scoring)()
    assert (await consents(scoring))[before:] == [ENDED]
    ended = await about(scoring)
    assert (ended.answer_id, ended.invitation_id) == (old.invitation_id, old.invitation_id)
    assert (ended.respondent_id == old.respondent_id) is not anonymous
    assert ended.at == NOW


async def test_suspicion_ends_the_consent_until_staff_let_the_answer_count_again(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    request = await quoted(scoring, client)
    await scoring.say(request.invitation_id, doubts=1)
    assert await consents(scoring) == [GIVEN, ENDED]
    await scoring.say(request.invitation_id, confirms=True)
    assert await consents(scoring) == [GIVEN, ENDED, GIVEN]
    await scoring.score(request, 10)
    assert len(await consents(scoring)) == 3


async def test_answer_without_a_consent_ends_none(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    request = await quoted(scoring, client)
    await say(client, request)
    await scoring.say(request.invitation_id, doubts=1)
    await scoring.say(request.invitation_id, confirms=True)
    await scoring.receive(RespondentErased(respondent_id=request.respondent_id))
    assert await consents(scoring) == [GIVEN, ENDED]
