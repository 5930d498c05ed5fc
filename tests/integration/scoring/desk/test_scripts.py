"""What an operator reads: the words of the program with its placeholders, the company's notice, and their mistakes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from services.scoring.domain.invitations import Invitation
from services.scoring.web.call_scripts import CallScript, callback_script, survey_script
from tests.integration.scoring.stand import NOW, QUESTION, Scoring, call_for, requested, take


def script_of(*, written: str = "", **changes: Any) -> CallScript:
    invitation = Invitation.of(requested(**changes), program_zone="UTC", dimensions={})
    return survey_script(invitation, written, operator="Maria", now=NOW + timedelta(days=7))


@pytest.mark.parametrize(
    ("own", "spoken"),
    [
        ("Hi {first_name}, {operator} of {brand}. {question} Thanks!", ("Hi Olga, Maria of Kofe Point. ", " Thanks!")),
        ("{about}, {date}:", ("Your order 48213 of 18 November, Tverskaya, 18 November: ", "")),
        ("Order {number}, {store}. {question}", ("Order 48213, Tverskaya. ", "")),
        ("{question} Again: {question}", ("", f" Again: {QUESTION}")),
    ],
)
def test_script_of_the_program_is_filled(own: str, spoken: tuple[str, str]) -> None:
    script = script_of(labels={"call.script": own})
    assert script == CallScript(spoken[0], QUESTION, spoken[1])


@pytest.mark.parametrize(
    ("own", "spoken"),
    [
        ("Hello, {first_name}! {question}", "Hello! "),
        ("Hello {first_name}: {question}", "Hello: "),
        ("In {store}: {question}", "In Kofe Point: "),
    ],
)
def test_placeholder_without_a_value_leaves_a_whole_sentence(own: str, spoken: str) -> None:
    script = script_of(labels={"call.script": own}, customer_name=None, segments={})
    assert script.before == spoken


def test_value_that_looks_like_a_placeholder_is_spoken_as_it_is() -> None:
    script = script_of(labels={"call.script": "{first_name}: {question}"}, customer_name="{operator}")
    assert script.before == "{operator}: "


@pytest.mark.parametrize("own", ["Hi {name}! {question}", "Hi { first_name}! {question}", "Hi {0!r}{{ {question}"])
def test_broken_script_is_shown_as_it_is_and_marked(own: str) -> None:
    script = script_of(labels={"call.script": own})
    assert script.is_broken
    assert (script.before, script.question) == (own.partition("{question}")[0], QUESTION)


def test_without_a_script_the_program_is_greeted_as_usual() -> None:
    assert script_of(written=QUESTION) == script_of()
    assert script_of().before.startswith("Hello, this is Kofe Point. Your order 48213 of 18 November, Tverskaya.")
    assert script_of(written=f"Good day. {QUESTION} Bye.")[:3] == ("Good day. ", QUESTION, " Bye.")


def test_notice_is_said_in_calls_that_customers_asked_for_too() -> None:
    labels = {"call.notice": "{brand} records this call.", "call.back": "{first_name}, it is {operator}."}
    invitation = Invitation.of(requested(labels=labels), program_zone="UTC", dimensions={})
    script = callback_script(invitation, operator="Maria", now=NOW)
    assert script == CallScript("Olga, it is Maria.", notice="Kofe Point records this call.")


async def test_desk_shows_script_and_notice_with_the_operators_name(
    scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    labels = {"call.script": "{first_name}, this is {operator}. {question}", "call.notice": "We record this call."}
    page = await call_page(scoring, client, labels)
    assert f"Olga, this is Anna. <strong>{QUESTION}</strong>" in page
    assert "Say in any case: <strong>We record this call.</strong>" in page
    assert "has a mistake" not in page


async def test_desk_says_that_a_script_is_broken(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    page = await call_page(scoring, client, {"call.script": "Hello, {nme}! {question}", "call.notice": "{"})
    assert "The script has a mistake" in page
    assert "Hello, {nme}! <strong>" in page


async def call_page(scoring: Scoring, client: httpx2.AsyncClient, labels: dict[str, str]) -> str:
    request = await scoring.asked(labels=labels)
    call = call_for(request)
    await scoring.receive(call)
    await take(client)
    client.cookies.set("operator", "Anna")
    return (await client.get(f"/desk/{call.task_id}")).text
