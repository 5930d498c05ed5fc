"""The time zone of a person's pages, set on the account page."""

from __future__ import annotations

import httpx2

from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import joined
from tests.integration.scoring.stand import Scoring


async def test_person_sets_a_zone_and_takes_it_away(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "anna", Role.MANAGER)
    web.cookies.set("earshot-browser-zone", "Asia%2FTokyo")
    assert "times in Asia/Tokyo" in (await web.get("/account")).text
    chosen = await web.post("/account/zone", data={"zone": " Europe/Moscow "})
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/account")
    page = (await web.get("/account")).text
    assert ("times in Europe/Moscow" in page, 'value="Europe/Moscow"' in page) == (True, True)
    await web.post("/account/zone", data={"zone": ""})
    page = (await web.get("/account")).text
    assert ("times in Asia/Tokyo" in page, 'name="zone" list="zones" value=""' in page) == (True, True)


async def test_unknown_zone_is_refused_and_the_one_before_stays(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await joined(web, scoring, "anna", Role.MANAGER)
    await web.post("/account/zone", data={"zone": "Europe/Moscow"})
    refused = await web.post("/account/zone", data={"zone": "<Moscow>"})
    assert refused.status_code == 422
    assert "there is no time zone &lt;Moscow&gt;" in refused.text
    assert "such as Europe/Moscow" in refused.text
    assert "times in Europe/Moscow" in refused.text
    assert "set-cookie" not in refused.headers
