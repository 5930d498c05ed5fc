"""The keys of the call desk: shown, changed and switched off."""

from __future__ import annotations

import httpx2
import pytest

from services.scoring.desk.keys import DEFAULT
from tests.integration.scoring.stand import Scoring, on_desk, take

WHOLE: dict[str, str] = {**{action.value: letter for action, letter in DEFAULT.items()}, "on": "1"}


async def page_of_a_call(scoring: Scoring, client: httpx2.AsyncClient) -> str:
    task_id = await on_desk(scoring)
    await take(client)
    client.cookies.set("operator", "Anna")
    return (await client.get(f"/desk/{task_id}")).text


async def test_keys_are_shown_by_their_places(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    page = await page_of_a_call(scoring, client)
    assert "data-keys" in page
    assert 'data-code="KeyA"' in page
    assert "<kbd>W</kbd>" in page


async def test_keys_are_changed_in_either_alphabet(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    saved = await client.post("/desk/keys", data={**WHOLE, "no_answer": "й", "next": "x"})
    assert saved.headers["location"] == "/desk"
    page = await page_of_a_call(scoring, client)
    assert 'data-code="KeyQ"><span>No answer' in page
    assert 'value="Q"' in (await client.get("/desk/keys")).text


async def test_keys_are_switched_off(scoring: Scoring, client: httpx2.AsyncClient) -> None:
    await client.post("/desk/keys", data={name: letter for name, letter in WHOLE.items() if name != "on"})
    page = await page_of_a_call(scoring, client)
    assert "data-keys" not in page
    assert "data-code" not in page


@pytest.mark.parametrize("letters", [{"next": "A"}, {"next": ""}, {"next": "ж"}, {"next": "7"}, {"next": "ab"}])
async def test_letters_that_cannot_be_are_refused_and_kept_in_the_form(
    letters: dict[str, str], client: httpx2.AsyncClient
) -> None:
    refused = await client.post("/desk/keys", data={**WHOLE, **letters})
    assert (refused.status_code, "no letter twice" in refused.text) == (422, True)
    assert f'name="next" value="{letters["next"].upper()}"' in refused.text
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("cookie", ["x", "AAAAAAAAAAA", "ABCDEFGHIJ1", "%D0%B9"])
async def test_a_cookie_that_cannot_be_read_means_the_usual_keys(
    cookie: str, scoring: Scoring, client: httpx2.AsyncClient
) -> None:
    client.cookies.set("desk_keys", cookie)
    assert 'data-code="KeyA"' in await page_of_a_call(scoring, client)
