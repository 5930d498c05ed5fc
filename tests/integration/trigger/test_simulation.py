"""`earshot simulate`: the same decisions as in production, without sending or storing."""

from __future__ import annotations

import asyncio
import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import compile_program
from services.trigger.domain.touchpoints import TriggerPayload
from services.trigger.handlers.events import read_event
from services.trigger.repository import past_events, programs
from services.trigger.simulation.simulate import Simulation
from shared.clock import StoredClock
from shared.contract.cloudevents import Event
from shared.database.db import Database
from tests.integration.trigger.samples import body, cancellation, count, later, message, purchase, reasons

SHOP: dict[str, Any] = {
    "id": "after-purchase",
    "brand": {"name": "Shop"},
    "starts_on": ["crm.purchase.completed"],
    "quarantine": "10d",
    "plan": [{"channel": "email"}, {"channel": "sms", "after": "3d"}],
}


def weeks_of_purchases() -> list[dict[str, Any]]:
    """Return the purchases of six customers every five days; one has no address, one only a phone."""
    sent = []
    for day in range(0, 40, 5):
        for number in range(6):
            who = {"id": f"c{number}", "consent": {"sms": True}}
            who |= {"email": f"c{number}@shop.example"} if number not in (0, 1) else {}
            who |= {"phone": "+79161234567"} if number == 1 else {}
            sent.append(purchase(f"e{day}-{number}", at=later(days=day, minutes=number), customer=who))
        sent.append(
            cancellation(f"x{day}", order=f"order of e{day}-3", at=later(days=day, hours=1), customer={"id": "c3"})
        )
    return sent


def as_trigger_events(sent: list[dict[str, Any]]) -> list[Event[TriggerPayload]]:
    read = [read_event(message(one)) for one in sent]
    return [Event(event.id, event.source, event.time, event.payload) for event in read]


async def test_simulation_decides_as_the_service_does(installed: Database) -> None:
    real: list[str] = []
    for one in weeks_of_purchases():
        at = read_event(message(one)).time
        real += await reasons(installed, [one], now=at)
    built_in = ProgramDocument.model_validate_json(await _stored_document(installed))
    simulation = Simulation(
        {built_in.id: compile_program(1, built_in)}, respondents={}, suppressions={}, settings=InstallationSettings("k")
    )
    for event in as_trigger_events(weeks_of_purchases()):
        simulation.add(event)
    assert Counter(real) == _by_reason(simulation)


def _by_reason(simulation: Simulation) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (_, reason), number in simulation.outcome.reasons.items():
        counts[reason] += number
    return counts


async def _stored_document(database: Database) -> str:
    async with database.sessions() as session:
        return (await programs.current(session))["after-purchase"].document.model_dump_json()


def test_simulated_relational_program_decides_about_everybody_once_a_cadence() -> None:
    document = ProgramDocument.model_validate({"id": "q", "brand": {"name": "Shop"}, "cadence": "7d"})
    simulation = Simulation(
        {"q": compile_program(1, document)}, respondents={}, suppressions={}, settings=InstallationSettings("k")
    )
    known = [body("customer.updated", f"e{n}", customer={"id": f"c{n}", "email": f"a{n}@b.test"}) for n in range(30)]
    end = body("customer.updated", "end", at=later(days=14), customer={"id": "c0"})
    for event in as_trigger_events([*known, end]):
        simulation.add(event)
    turns = Counter(asked.customer_id for asked in simulation.outcome.asked)
    assert turns == {f"c{n}": 2 for n in range(30)}


async def test_event_at_the_start_time_is_simulated_and_not_counted_as_history(installed: Database) -> None:
    """It is one of the simulated events; if it also counted as history, it would block its own survey."""
    assert await reasons(installed, [purchase("before", at=later(days=-8)), purchase("first")]) == ["too_old", "asked"]
    async with installed.sessions() as session:
        events = await past_events.events_since(session, later())
        known = await past_events.respondents_at(session, later(), events)
    assert [event.id for event in events] == ["first"]
    assert (known["c1"].purchases, known["c1"].last_asked_at) == (1, None)


async def simulate(*words: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["simulate", *words])
    return f"{result.exit_code} {result.output}"


@pytest.fixture
def program(tmp_path: Path) -> str:
    (tmp_path / "shop.json").write_text(json.dumps(SHOP))
    return str(tmp_path / "shop.json")


def cells(output: str, start: str) -> list[str]:
    """Return the figures of a table row."""
    row = next(line for line in output.splitlines() if start in line)
    return [cell.strip() for cell in row.replace("┃", "│").split("│")[2:-1]]


async def test_file_is_simulated_alone_with_costs_and_files(tmp_path: Path, program: str) -> None:
    lines = [json.dumps(one) for one in weeks_of_purchases()] + ["nonsense"]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    out = str(tmp_path / "out")
    output = await simulate(
        "--program", program, "--events", str(tmp_path / "events.jsonl"), "--alone", "--sms-price", "0.5", "--out", out
    )
    assert "line 57: body:" in output
    assert cells(output, "asked by this program")[1] == "20"
    assert cells(output, "contacts by sms")[1] == "4"
    assert cells(output, "cost")[1] == "2.0"
    assert cells(output, "unreachable:")[1] == "8"
    with (tmp_path / "out/asked.csv").open() as file:
        asked = list(csv.DictReader(file))
    assert {row["customer"] for row in asked} == {"c1", "c2", "c3", "c4", "c5"}
    assert next(row["contacts"] for row in asked if row["customer"] == "c1") == "sms"


async def test_new_version_is_compared_with_the_current_one_since_a_time(
    urls: Mapping[str, str],
    installed: Database,
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for one in weeks_of_purchases():
        await reasons(installed, [one], now=read_event(message(one)).time)
    before = await count(installed, "decisions")
    StoredClock.create(tmp_path / "clock.json", start=later(days=40), speed=0)
    monkeypatch.setenv("EARSHOT_TRIGGER_DATABASE_URL", urls["trigger"])
    monkeypatch.setenv("EARSHOT_CLOCK", str(tmp_path / "clock.json"))
    output = await simulate("--program", program, "--since", "60d")
    assert output.startswith("0 ")
    assert cells(output, "asked by this program") == ["5", "20", "+15"]
    assert cells(output, "quarantined:") == ["35", "20", "-15"]
    (tmp_path / "new.json").write_text(json.dumps({**SHOP, "id": "another", "priority": -1}))
    output = await simulate("--program", str(tmp_path / "new.json"), "--since", "60d")
    assert cells(output, "asked by this program") == ["0", "15", "+15"]
    assert cells(output, "asked by all programs") == ["5", "20", "+15"]
    assert await count(installed, "decisions") == before


async def test_simulate_explains_missing_options(program: str, tmp_path: Path) -> None:
    assert (await simulate("--program", program)).startswith("2 ")
    assert (await simulate("--program", program, "--since", "soon")).startswith("2 ")
    (tmp_path / "wrong.yaml").write_text("id: shop\ndelay: soon\n")
    assert "line 2: delay" in await simulate("--program", str(tmp_path / "wrong.yaml"), "--since", "1d")
