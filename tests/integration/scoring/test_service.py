"""The whole service with its loops, a real event log and a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import httpx2
from uuid_utils.compat import uuid7

from services.scoring.config import ScoringSettings
from services.scoring.main import run
from shared import runtime
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.api_keys import KeyScope, NewKey, digest, new_token
from shared.contract.events import NpsUpdated, Payload, SurveyAnswered
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.db import Database
from shared.messaging import codec
from shared.messaging.transport import open_log
from shared.runtime import ServiceContext
from tests.integration.scoring.stand import NOW, link_of, requested
from tests.staff import STAFF


async def test_request_becomes_an_answer_and_a_published_score(urls: Mapping[str, str]) -> None:
    log, stop, request = open_log(urls["transport"]), asyncio.Event(), requested()
    listener = runtime.listen("127.0.0.1", 0, setting="EARSHOT_SCORING_PORT")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = ScoringSettings.model_validate({"link_keys": "k1:a secret"})
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(run(settings, ServiceContext(urls["scoring"], log, ManualClock(NOW), stop, listener)))
        await log.append([codec.encode(cloudevents.new(request, service=Service.TRIGGER, at=NOW))])
        async with httpx2.AsyncClient(auth=STAFF, base_url=address) as browser:
            while (await browser.get(link_of(request.invitation_id))).status_code != 200:
                pass
            assert (await browser.post(link_of(request.invitation_id), data={"score": "9"})).status_code == 303
        seen = await read_until_scored(urls["transport"])
        stop.set()
    await log.close()
    assert {payload.type for payload in seen} == {"survey.answered", "nps.updated"}


async def test_use_of_a_key_is_stored_also_when_the_service_stops_soon(
    urls: Mapping[str, str], scoring_db: Database
) -> None:
    log, stop, token = open_log(urls["transport"]), asyncio.Event(), new_token([Service.SCORING])
    async with scoring_db.sessions.begin() as session:
        await api_keys.add(session, NewKey(uuid7(), "bi", digest(token), frozenset([KeyScope.SCORES_READ]), None))
    listener = runtime.listen("127.0.0.1", 0, setting="EARSHOT_SCORING_PORT")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = ScoringSettings.model_validate({"link_keys": "k1:a secret"})
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(run(settings, ServiceContext(urls["scoring"], log, ManualClock(NOW), stop, listener)))
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, base_url=address) as machine:
            assert (await machine.get("/v1/nps")).status_code == 200
        stop.set()
    await log.close()
    async with scoring_db.sessions.begin() as session:
        [key] = await api_keys.load_all(session)
    assert key.used_at is not None
    assert timedelta(0) <= datetime.now(UTC) - key.used_at < timedelta(hours=2)


async def read_until_scored(url: str) -> list[Payload]:
    log, seen = open_log(url), list[Payload]()
    async with aclosing(log.read("test", ["survey.answers", "nps.updates"])) as batches:
        async for batch in batches:
            seen += [codec.parse(message).payload for message in batch.messages]
            # topics have no common order
            is_scored = any(isinstance(payload, NpsUpdated) and payload.n == 1 for payload in seen)
            if is_scored and any(isinstance(payload, SurveyAnswered) for payload in seen):
                break
    await log.close()
    return seen
