"""The languages in which a person takes calls: chosen on the account page, and what the desk then offers."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import httpx2

from shared.contract.events import ProgramPublished
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import Open, joined
from tests.integration.scoring.stand import Scoring, call_for

WHOLE_DESK = "Nobody takes calls in"


async def call_in(scoring: Scoring, locale: str) -> UUID:
    request = await scoring.asked(locale=locale)
    call = call_for(request, locale=locale)
    await scoring.receive(call)
    return call.task_id


async def publish(scoring: Scoring, *locales: str) -> None:
    document: dict[str, Any] = {"texts": {locale: {} for locale in locales}}
    await scoring.receive(ProgramPublished(program_id="after-purchase", program_version=3, document=document))


async def speak(web: httpx2.AsyncClient, *languages: str) -> httpx2.Response:
    return await web.post("/account/spoken", data={"language": list(languages)})


def offered(page: httpx2.Response) -> list[str]:
    return re.findall(r'<button name="task_id" value="([0-9a-f-]{36})"', page.text)


async def test_operator_gets_the_calls_in_the_languages_that_are_ticked(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await joined(web, scoring, "anna", Role.OPERATOR)
    await publish(scoring, "en", "ru-RU", "de")
    german, russian = await call_in(scoring, "de-AT"), await call_in(scoring, "ru")
    assert offered(await web.get("/desk")) == [str(german), str(russian)]
    chosen = await speak(web, "ru")
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/account")
    account = (await web.get("/account")).text
    assert re.findall(r'name="language" value="(\w+)"( checked)?', account) == [
        ("en", ""),
        ("de", ""),
        ("ru", " checked"),
    ]
    assert ("German" in account, "Russian" in account) == (True, True)
    page = await web.get("/desk")
    assert (offered(page), "1 due" in page.text) == ([str(russian)], True)
    assert (await web.post("/desk/take")).headers["location"] == f"/desk/{russian}"
    await web.post(f"/desk/{russian}/outcome", data={"disposition": "no_answer"})
    assert (await web.post("/desk/take")).headers["location"] == "/desk?said=none"
    await speak(web)
    assert (await web.post("/desk/take")).headers["location"] == f"/desk/{german}"


async def test_call_that_is_named_may_be_in_any_language_and_stays_with_who_took_it(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await joined(web, scoring, "anna", Role.OPERATOR)
    await publish(scoring, "ru", "de")
    german = await call_in(scoring, "de")
    await call_in(scoring, "ru")
    await speak(web, "ru")
    await web.post("/desk/take", data={"task_id": str(german)})
    assert offered(await web.get("/desk"))[0] == str(german)
    assert (await web.post("/desk/take")).headers["location"] == f"/desk/{german}"


async def test_call_whose_language_is_not_known_comes_to_everybody(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "anna", Role.OPERATOR)
    await publish(scoring, "ru")
    old = await call_in(scoring, "de")
    await scoring.rows("UPDATE call_tasks SET language = ''")
    await speak(web, "ru")
    assert offered(await web.get("/desk")) == [str(old)]


async def test_desk_says_in_which_languages_calls_wait_that_nobody_takes(opened: Open, scoring: Scoring) -> None:
    await publish(scoring, "ru", "de")
    for locale in ("de", "de", "ru", "fr"):
        await call_in(scoring, locale)
    async with opened() as anna, opened() as boris:
        await joined(anna, scoring, "anna", Role.OPERATOR)
        await joined(boris, scoring, "boris", Role.SUPERVISOR)
        assert WHOLE_DESK not in (await boris.get("/desk")).text
        await speak(anna, "ru")
        assert WHOLE_DESK not in (await boris.get("/desk")).text  # he takes all
        await speak(boris, "ru")
        assert "Nobody takes calls in German (2), French (1)." in (await boris.get("/desk")).text
        await speak(anna, "de")
        assert "Nobody takes calls in French (1)." in (await boris.get("/desk")).text
        await scoring.rows("UPDATE people SET programs = '{other}' WHERE login = 'anna'")
        assert "Nobody takes calls in German (2), French (1)." in (await boris.get("/desk")).text


async def test_language_that_no_program_speaks_is_refused(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "anna", Role.OPERATOR)
    await publish(scoring, "ru")
    await speak(web, "ru")
    refused = await speak(web, "ru", "<b>")
    assert refused.status_code == 422
    assert "no program speaks &lt;b&gt;" in refused.text
    assert await scoring.rows("SELECT spoken FROM people") == [{"spoken": ["ru"]}]


async def test_who_takes_no_calls_chooses_no_languages(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "anna", Role.MANAGER)
    await publish(scoring, "ru")
    assert "Languages in which you take calls" not in (await web.get("/account")).text
