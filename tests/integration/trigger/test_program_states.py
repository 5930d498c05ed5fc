"""Programs that are off or stopped: events are decided and ask nobody, and every change of a state is published."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest

from services.trigger.domain.programs.states import ALL_PROGRAMS, KnownState
from services.trigger.handlers.programs import UnknownProgram, switch
from services.trigger.jobs.cadence import CadenceJob
from services.trigger.repository import program_states
from shared.clock import ManualClock
from shared.contract import cloudevents
from shared.contract.events import ContactAttempted, ProgramPublished
from shared.contract.vocabulary import AttemptState, ChannelKind, ProgramState, Service
from shared.database.audit.rows import Actor, ActorKind
from shared.database.db import Database
from tests.audit import ended
from tests.integration.trigger.samples import NOW, SETTINGS, body, decide, decided, later, published, purchase, reasons
from tests.integration.trigger.test_feedback import handle
from tests.integration.trigger.test_programs import apply, requests

IRINA = Actor(ActorKind.PERSON, "irina")


async def turn(database: Database, program: str, state: ProgramState, *, now: datetime = NOW) -> list[str]:
    """Switch a program; return the ids and states of those that changed."""
    async with database.sessions.begin() as session:
        switched = await switch(session, program, state, now=now, actor=IRINA)
    return [f"{each.id} {each.state}" for each in switched]


async def states(database: Database) -> dict[str, KnownState]:
    async with database.sessions() as session:
        return await program_states.find(session)


async def told(database: Database) -> list[tuple[str, ProgramState | None]]:
    payloads = [event.payload for event in await published(database, but=())]
    return [(each.program_id, each.state) for each in payloads if isinstance(each, ProgramPublished)]


def attempt(
    invitation: UUID, *, at: datetime = NOW, state: AttemptState = AttemptState.SENT, revision: int = 1
) -> ContactAttempted:
    return ContactAttempted(
        respondent_id="c1",
        invitation_id=invitation,
        attempt_id=uuid4(),
        revision=revision,
        step=1,
        channel=ChannelKind.EMAIL,
        provider="smtp",
        state=state,
        at=at,
    )


@pytest.mark.parametrize("state", [ProgramState.OFF, ProgramState.STOPPED, ProgramState.WITHDRAWN])
async def test_an_event_of_a_program_that_is_off_is_decided_and_asks_nobody(
    trigger_db: Database, state: ProgramState
) -> None:
    await apply(trigger_db)
    await turn(trigger_db, "shop", state)
    assert await reasons(trigger_db, [purchase("e1")]) == ["switched_off"]
    (made,) = await decided(trigger_db, "crm.purchase.completed")
    assert (made.program_id, made.trail[0]["facts"]) == ("shop", {"state": state})
    await turn(trigger_db, "shop", ProgramState.ON)
    assert await reasons(trigger_db, [purchase("e2", order="other")]) == ["asked"]


async def test_another_program_asks_instead_of_one_that_is_off(trigger_db: Database) -> None:
    await apply(trigger_db, "first", priority=10)
    await apply(trigger_db, "second")
    await turn(trigger_db, "first", ProgramState.OFF)
    await decide(trigger_db, [purchase("e1")])
    assert [request.program.id for request in await requests(trigger_db)] == ["second"]
    assert [trial["rule"] for trial in (await decided(trigger_db, "crm.purchase.completed"))[0].trail] == [
        "switched_off",
        "asked",
    ]


async def test_customers_due_in_a_cadence_that_is_off_are_not_made_up_for(trigger_db: Database) -> None:
    await apply(trigger_db, "quarterly", cadence="1d")
    await decide(trigger_db, [body("customer.updated", "e1")])
    await turn(trigger_db, "quarterly", ProgramState.STOPPED)
    clock = ManualClock(NOW)
    await CadenceJob(trigger_db.sessions, clock, SETTINGS).tick()
    await turn(trigger_db, "quarterly", ProgramState.ON)
    await CadenceJob(trigger_db.sessions, clock, SETTINGS).tick()
    clock.moment = later(days=1)
    await CadenceJob(trigger_db.sessions, clock, SETTINGS).tick()
    assert [each.reason for each in await decided(trigger_db, "cadence.due")] == ["switched_off", "asked"]


async def test_stopping_all_holds_for_programs_applied_later_and_ends_with_each_in_its_own_state(
    trigger_db: Database,
) -> None:
    await apply(trigger_db)
    await apply(trigger_db, "other")
    assert await turn(trigger_db, "other", ProgramState.OFF) == ["other off"]
    assert await turn(trigger_db, ALL_PROGRAMS, ProgramState.STOPPED) == ["other stopped", "shop stopped"]
    await apply(trigger_db, "later")
    assert await reasons(trigger_db, [purchase("e1")]) == ["switched_off"]
    assert await turn(trigger_db, "shop", ProgramState.ON) == []
    lifted = await turn(trigger_db, ALL_PROGRAMS, ProgramState.ON)
    assert lifted == ["later on", "other off", "shop on"]
    assert await told(trigger_db) == [
        ("shop", ProgramState.ON),
        ("other", ProgramState.ON),
        ("other", ProgramState.OFF),
        ("other", ProgramState.STOPPED),
        ("shop", ProgramState.STOPPED),
        ("later", ProgramState.STOPPED),
        ("later", ProgramState.ON),
        ("other", ProgramState.OFF),
        ("shop", ProgramState.ON),
    ]


async def test_a_new_version_of_a_stopped_program_stays_stopped(trigger_db: Database) -> None:
    await apply(trigger_db)
    await turn(trigger_db, "shop", ProgramState.STOPPED)
    await apply(trigger_db, title="New")
    assert (await told(trigger_db))[-1] == ("shop", ProgramState.STOPPED)
    assert await reasons(trigger_db, [purchase("e1")]) == ["switched_off"]


async def test_pressing_twice_keeps_the_time_and_publishes_once(trigger_db: Database) -> None:
    await apply(trigger_db)
    assert await turn(trigger_db, "shop", ProgramState.STOPPED) == ["shop stopped"]
    assert await turn(trigger_db, "shop", ProgramState.STOPPED, now=later(days=1)) == []
    assert await states(trigger_db) == {"shop": KnownState("shop", ProgramState.STOPPED, NOW, "person:irina")}
    with pytest.raises(UnknownProgram):
        await turn(trigger_db, "none", ProgramState.OFF)


async def test_messages_that_left_after_the_stop_are_counted_once(trigger_db: Database) -> None:
    await apply(trigger_db)
    await decide(trigger_db, [purchase("e1")])
    (request,) = await requests(trigger_db)
    invitation = request.invitation_id
    stopped = later(minutes=1)
    await turn(trigger_db, "shop", ProgramState.STOPPED, now=stopped)
    await turn(trigger_db, ALL_PROGRAMS, ProgramState.STOPPED, now=later(minutes=2))
    events = [
        cloudevents.new(each, service=Service.DISPATCHER, at=NOW)
        for each in (
            attempt(invitation, at=stopped - timedelta(seconds=1)),
            attempt(invitation, at=stopped),
            attempt(invitation, at=later(minutes=2), state=AttemptState.UNKNOWN),
            attempt(invitation, at=stopped, state=AttemptState.SKIPPED),
            attempt(invitation, at=stopped, state=AttemptState.SENT, revision=2),
            attempt(uuid4(), at=later(minutes=3)),  # of a survey that is not known here
        )
    ]
    await handle(trigger_db, events)
    await handle(trigger_db, events)
    counted = {program: state.handed_over for program, state in (await states(trigger_db)).items()}
    assert counted == {"shop": 2, ALL_PROGRAMS: 2}
    await turn(trigger_db, "shop", ProgramState.WITHDRAWN)
    assert (await states(trigger_db))["shop"].handed_over == 2
    await turn(trigger_db, "shop", ProgramState.ON)
    assert (await states(trigger_db))["shop"].handed_over == 0


async def test_program_that_was_never_switched_is_on_and_is_not_switched_on(trigger_db: Database) -> None:
    await apply(trigger_db)
    assert await turn(trigger_db, "shop", ProgramState.ON) == []
    assert await states(trigger_db) == {}


async def test_the_api_says_and_sets_the_state(client: httpx2.AsyncClient, installed: Database) -> None:
    (program,) = (await client.get("/v1/programs")).json()["programs"]
    assert program["state"] == "on"
    pressed = await client.post("/v1/programs/after-purchase/state", json={"state": "off"})
    assert [(each["id"], each["state"]) for each in pressed.json()["programs"]] == [("after-purchase", "off")]
    assert (await client.get("/v1/programs/after-purchase")).json()["state"] == "off"
    everything = await client.post("/v1/programs/*/state", json={"state": "stopped"})
    assert [each["state"] for each in everything.json()["programs"]] == ["stopped"]
    again = await client.post("/v1/programs/*/state", json={"state": "stopped"})
    assert again.json() == {"programs": []}
    assert '"stored":false' in (await ended(installed))[-1][2]
    assert (await client.post("/v1/programs/none/state", json={"state": "off"})).status_code == 404
    assert (await client.post("/v1/programs/after-purchase/state", json={"state": "sleeping"})).status_code == 422
    assert (await client.post("/v1/programs/after-purchase/state", json={})).status_code == 422
