"""The language of a response: chosen by the person, asked for by the browser, or set for the installation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.health import Health
from shared.web.app import create_app
from tests.staff import ACCESS, STAFF

PAGE = "/stores/nothing"  # an error, which every app shows
RUSSIAN, ENGLISH = "Страница не найдена", "Not Found"


async def page(headers: dict[str, str], *, path: str = PAGE, **access: Any) -> httpx2.Response:
    app = create_app(Service.SCORING, health=Health(), access=replace(ACCESS, **access))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(auth=STAFF, transport=transport, base_url="http://localhost") as client:
        return await client.get(path, headers={"accept": "text/html", **headers})


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ("", ENGLISH),
        ("ru", RUSSIAN),
        ("ru-RU,ru;q=0.9,en;q=0.8", RUSSIAN),
        ("RU-ru", RUSSIAN),
        ("en-GB,en;q=0.9,ru;q=0.8", ENGLISH),
        ("ru;q=0.1, en;q=0.5", ENGLISH),
        ("de-DE,de;q=0.9,ru;q=0.2", RUSSIAN),
        ("de", ENGLISH),
        ("ru;q=0", ENGLISH),
        ("*", ENGLISH),
        ("ru;q=many", ENGLISH),
        ("ru;q=nan", ENGLISH),
        (";;,,=,-,_,ru-", RUSSIAN),
        ("../ru", ENGLISH),
        ("x" * 5000, ENGLISH),
        (", " * 2000 + "ru", ENGLISH),
    ],
)
async def test_browser_gets_the_language_it_asks_for(asked: str, title: str) -> None:
    answer = await page({"accept-language": asked} if asked else {})
    assert f"<h1>{title}</h1>" in answer.text
    assert f'<html lang="{"ru" if title == RUSSIAN else "en"}">' in answer.text


@pytest.mark.parametrize(
    ("cookie", "asked", "title"),
    [
        ("earshot-language=ru", "en", RUSSIAN),
        ("earshot-language=en", "ru", ENGLISH),
        ("earshot-language=xx", "ru", RUSSIAN),
        ("earshot-language=../../etc", "en", ENGLISH),
        ("earshot-language=", "ru", RUSSIAN),
    ],
)
async def test_what_the_person_chose_counts_before_what_the_browser_asks_for(
    cookie: str, asked: str, title: str
) -> None:
    answer = await page({"cookie": cookie, "accept-language": asked})
    assert f"<h1>{title}</h1>" in answer.text


async def test_setting_counts_where_nothing_else_is_known() -> None:
    assert f"<h1>{RUSSIAN}</h1>" in (await page({}, language="ru")).text
    assert f"<h1>{RUSSIAN}</h1>" in (await page({"accept-language": "de"}, language="ru")).text
    assert f"<h1>{ENGLISH}</h1>" in (await page({"accept-language": "en"}, language="ru")).text


async def test_programs_read_english() -> None:
    answer = await page({"accept-language": "ru", "accept": "application/json"}, path="/v1/stores/nothing")
    assert answer.json()["title"] == ENGLISH


@pytest.mark.parametrize("language", ["xx", "de", "ru-RU", "../ru"])
def test_setting_of_a_language_that_does_not_exist_is_refused(language: str) -> None:
    with pytest.raises(ValidationError, match="there are only these languages: en, ru"):
        Settings(_env_file=None, language=language)
