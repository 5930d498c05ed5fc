"""The database goes away: the services wait and continue, nothing accepted is lost, nothing is sent twice."""

from __future__ import annotations

from collections import Counter

from shared import database_url
from shared.contract.vocabulary import Service
from shared.database import db, embedded
from tests.contract.transport_stand import database_closed
from tests.journey.stage import Stage, link_in, purchase


async def parked(stage: Stage) -> int:
    total = 0
    for service in Service:
        async with stage.watch.databases[service].sessions.begin() as session:
            total += (await db.fetch(session, "SELECT count(*) FROM parked"))[0][0]
    return total


async def test_database_away_and_back(stage: Stage, postgres: embedded.Embedded) -> None:
    await stage.happens(*[purchase(number) for number in range(1, 31)])
    links = [link_in(message) for message in await stage.mailbox()]
    database = database_url.parse(stage.urls["trigger"]).database
    stage.clock.anchor(stage.clock.now().replace(day=6), speed=0)  # every reminder is due at the moment of the outage

    async with database_closed(postgres.admin_url, database):
        refused = await stage.web.post(f"{stage.trigger}/v1/events", json=[purchase(99)])
        unsaved = await stage.web.post(links[0], data={"score": "9"})
        ready = await stage.web.get(f"{stage.scoring}/readyz")
        alive = await stage.web.get(f"{stage.scoring}/healthz")
    assert (refused.status_code, unsaved.status_code, ready.status_code, alive.status_code) == (503, 503, 503, 200)

    await stage.settle()
    assert (await stage.answer(links[0], 9)).status_code == 200
    await stage.happens(purchase(99))
    sent = Counter((message["to"], message["step"]) for message in await stage.mailbox())
    assert set(sent.values()) == {1}
    assert Counter(step for _, step in sent) == {1: 31, 2: 30}
    assert await parked(stage) == 0
    assert (await stage.score())["series"][0]["n"] == 1
