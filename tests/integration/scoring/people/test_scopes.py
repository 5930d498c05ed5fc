"""Who sees only some programs or stores: what is shown, what stays hidden, and how others hear of it."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import httpx2
import pytest

from services.scoring.domain.people.scope import PersonScope
from services.scoring.domain.stores.store import Store
from services.scoring.people import accounts
from services.scoring.repository.people import accounts as stored
from services.scoring.repository.stores import listed
from services.scoring.stores import saving
from shared.contract.events import ProgramRef, StaffChanged, SurveyRequested
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import PASSWORD, Open
from tests.integration.scoring.stand import Scoring, answer_all, call_for

ARBAT, NEVSKY = Store("A1", "Arbat", ("Арбат",), "Moscow"), Store("N1", "Nevsky", (), "North")
BANK = ProgramRef(id="bank", version=1, title="Bank")
HIDDEN = ("Nevsky", "Secret words", "c-nevsky", "Bank")
ROLES = (Role.MANAGER, Role.SUPERVISOR, Role.ANALYST, Role.OPERATOR)


@pytest.fixture
async def chain(scoring: Scoring) -> dict[str, SurveyRequested]:
    """Two stores with an answer each, one of them under another spelling, and a program of the bank in none."""
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    asked = {
        "arbat": await scoring.asked(customer_id="c-arbat", segments={"store": "Арбат", "channel": "shop"}),
        "nevsky": await scoring.asked(customer_id="c-nevsky", segments={"store": "Nevsky", "channel": "web"}),
        "bank": await scoring.asked(customer_id="c-bank", segments={}, program=BANK),
    }
    await scoring.score(asked["arbat"], 9, comment="Open words")
    await scoring.score(asked["nevsky"], 3, comment="Secret words")
    await scoring.score(asked["bank"], 0, comment="Secret words of the bank")
    await scoring.tick()
    return asked


async def enter_as(opened: Any, scoring: Scoring, *roles: Role, login: str = "vera", **scope: Any) -> UUID:
    """Log somebody in who sees only the scope; returns the person's id."""
    seen = PersonScope(**{name: frozenset(values) for name, values in scope.items()})
    async with scoring.database.sessions.begin() as session:
        invited = await accounts.add(session, login=login, name=login.title(), roles=roles, scope=seen)
    await opened.post(invited.url(""), data={"password": PASSWORD, "again": PASSWORD})
    return invited.person.id


@pytest.mark.parametrize(
    "scope", [{"stores": {"A1"}}, {"regions": {"Moscow"}}, {"stores": {"A1"}, "programs": {"after-purchase"}}]
)
@pytest.mark.usefixtures("chain")
async def test_store_manager_sees_the_store_and_the_score_of_the_chain(
    web: httpx2.AsyncClient, scoring: Scoring, scope: dict[str, Any]
) -> None:
    await enter_as(web, scoring, *ROLES, **scope)
    for path in (
        "/?program=after-purchase",
        "/?program=bank",
        "/?segment=store:Nevsky",
        "/?by=channel",
        "/?segment=mode:self",
    ):
        shown = await web.get(path)
        assert shown.status_code == 200
        asked_for = {"Nevsky"} if "Nevsky" in path else set()
        seen = {text for text in HIDDEN if text in shown.text} - asked_for
        assert seen == ({"Bank"} if "programs" not in scope else set()), path
    page = (await web.get("/?program=after-purchase")).text
    assert "Open words" in page
    assert "Of your store Arbat." in page
    assert "fewer than 30 answers" in page  # two answers of others would show in the score of the chain
    assert "You see" in (await web.get("/account")).text
    figures = (await web.get("/v1/nps", params={"program": "after-purchase"})).json()["series"]
    assert [(each["n"], each["nps"], each["invited"]) for each in figures] == [(1, 100.0, 1)]


@pytest.mark.usefixtures("chain")
async def test_figures_of_other_stores_are_not_given_by_any_parameter(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await enter_as(web, scoring, *ROLES, stores={"A1"})

    async def n(**asked: str) -> list[tuple[list[str], int, int]]:
        found = (await web.get("/v1/nps", params=asked)).json()["series"]
        return [(each["values"], each["n"], each["invited"]) for each in found]

    for asked in (
        {"by": "store"},
        {"by": "channel"},
        {"by": "mode"},
        {"by": "store,channel"},
        {"definition": "latest_per_customer"},
        {"period": "day"},
    ):
        assert sum(each[1] for each in await n(**asked)) == 1, asked
    assert await n(by="all") == await n(segment="all:") == [([""], 1, 1)]
    for segment in ("store:Nevsky", "store:N1", "channel:web"):
        assert sum(each[1] + each[2] for each in await n(segment=segment)) == 0, segment
    assert sum(each[1] for each in await n(segment="channel:shop")) == 1
    assert (await web.get("/v1/funnel", params={"segment": "channel:web"})).status_code == 422
    assert (await web.get("/v1/funnel", params={"segment": "store:Nevsky"})).json()["asked"] == 0
    assert (await web.get("/v1/funnel")).json()["asked"] == 1
    assert (await web.get("/v1/returns")).status_code == 403  # purchases are counted in all stores
    assert "Bought again" not in (await web.get("/?program=after-purchase")).text


async def test_score_of_the_chain_is_shown_beside_enough_answers_of_others(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    await answer_all(scoring, [9], segments={"store": "Arbat"})
    await answer_all(scoring, [0] * 30, segments={"store": "Nevsky"})
    await enter_as(web, scoring, Role.MANAGER, stores={"A1"})
    page = (await web.get("/?program=after-purchase")).text
    assert re.search(r"whole chain: <strong>\W94</strong>.*31 answers", page)


async def test_answers_of_other_stores_are_not_found_by_any_filter(
    web: httpx2.AsyncClient, scoring: Scoring, chain: dict[str, SurveyRequested]
) -> None:
    await enter_as(web, scoring, *ROLES, stores={"A1"})
    nevsky = chain["nevsky"]
    for asked in (
        {},
        {"customer": "c-nevsky"},
        {"invitation": str(nevsky.invitation_id)},
        {"segment": "store:Nevsky"},
        {"segment": "channel:web"},
        {"program": "bank"},
    ):
        page = await web.get("/v1/answers", params=asked)
        assert page.status_code == 200
        assert {each["segments"]["store"] for each in page.json()["answers"]} <= {"Арбат"}, asked
    assert len((await web.get("/v1/answers")).json()["answers"]) == 1


@pytest.mark.usefixtures("chain")
async def test_who_sees_one_program_has_to_ask_for_it(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    await enter_as(web, scoring, *ROLES, programs={"after-purchase"})
    for path in ("/v1/nps", "/v1/funnel", "/v1/annotations", "/v1/nps/moves", "/live"):
        assert (path, (await web.get(path, params={"program": "bank"})).status_code) == (path, 403)
    assert (await web.get("/v1/nps")).json()["series"][0]["n"] == 2
    assert len((await web.get("/v1/answers")).json()["answers"]) == 2
    page = (await web.get("/?program=bank")).text
    assert "Bank" not in page
    assert "The whole chain" not in page


@pytest.mark.usefixtures("chain")
async def test_suspects_of_other_stores_are_neither_shown_nor_confirmed(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await scoring.rows("UPDATE answers SET suspect = true")
    await enter_as(web, scoring, Role.SUPERVISOR, stores={"A1"})
    page = (await web.get("/suspects")).text
    assert ("Арбат" in page, "Nevsky" in page) == (True, False)
    by_store = {
        row["store"]: row["answer_id"]
        for row in await scoring.rows(
            "SELECT a.answer_id, i.segments->>'store' AS store FROM answers a "
            "JOIN invitation_details i ON i.id = a.invitation_id"
        )
    }
    assert (await web.post(f"/suspects/{by_store['Nevsky']}/confirm")).status_code == 404
    assert (await web.post(f"/v1/answers/{by_store['Nevsky']}/confirm")).status_code == 404
    assert (await web.post(f"/suspects/{by_store['Арбат']}/confirm")).status_code == 303


async def test_operator_is_given_calls_of_her_stores_only(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    tasks = {}
    for store in ("Arbat", "Nevsky"):
        request = await scoring.asked(segments={"store": store})
        call = call_for(request, summary=f"Order of {store}")
        await scoring.receive(call)
        tasks[store] = call.task_id
    await enter_as(web, scoring, Role.OPERATOR, stores={"A1"})
    desk = (await web.get("/desk")).text
    assert [store for store, task in tasks.items() if str(task) in desk] == ["Arbat"]
    assert (await web.post("/desk/take", data={"task_id": str(tasks["Nevsky"])})).headers[
        "location"
    ] == "/desk?said=taken"
    assert (await web.post("/desk/take")).headers["location"] == f"/desk/{tasks['Arbat']}"
    assert (await web.get(f"/desk/{tasks['Nevsky']}")).headers["location"] == "/desk?said=taken"
    ended = await web.post(f"/desk/{tasks['Nevsky']}/outcome", data={"disposition": "refused"})
    assert ended.status_code == 409


async def test_call_that_was_taken_is_not_shown_when_its_store_is_taken_away(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    request = await scoring.asked(segments={"store": "Nevsky"})
    call = call_for(request)
    await scoring.receive(call)
    person = await enter_as(web, scoring, Role.OPERATOR, stores={"N1"})
    task = (await web.post("/desk/take")).headers["location"]
    assert (await web.get(task)).status_code == 200
    async with scoring.database.sessions.begin() as session:
        scope = PersonScope(stores=frozenset({"A1"}))
        await accounts.change(session, person, name="Vera", roles=[Role.OPERATOR], scope=scope)
    assert (await web.get(task)).headers["location"] == "/desk?said=taken"
    for form in ({"disposition": "refused"}, {"disposition": "zzz"}):
        assert (await web.post(f"{task}/outcome", data=form)).status_code == 409
    lost = await web.post(f"{task}/answer", data={"score": "9", "comment": "She waited."})
    assert (lost.status_code, "She waited." in lost.text, request.respondent_id in lost.text) == (409, True, False)
    report = {"operator": "Vera", "disposition": "refused"}
    assert (await web.post(f"/v1/desk/{call.task_id}/outcome", json=report)).status_code == 404
    assert (await web.post(f"{task}/keep")).json() == {"held": False, "holder": None, "there": None}
    assert "Noted" not in (await web.get(f"/desk?noted=no_answer&task={call.task_id}")).text


@pytest.mark.usefixtures("chain")
async def test_settings_of_the_chain_are_closed_and_no_form_offers_them(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await enter_as(web, scoring, *ROLES, Role.PRIVACY_OFFICER, Role.ADMINISTRATOR, stores={"A1"})
    assert (await web.post("/target", data={"program": "after-purchase", "nps": "1"})).status_code == 403
    assert (await web.post("/people", data={"login": "x"})).status_code == 403
    page = (await web.get("/?program=after-purchase")).text
    assert [
        path
        for path in ('action="/target"', 'action="/annotations', 'action="/benchmarks', 'href="/people"')
        if path in page
    ] == []
    refused = await web.get("/people")
    assert refused.headers["location"] == "/account/refused?part=1"
    assert "You see only a part of the chain" in (await web.get("/account/refused?part=1")).text
    assert "a part of the chain" not in (await web.get("/account/refused")).text


@pytest.mark.usefixtures("chain")
async def test_everybody_hears_what_a_person_sees_and_an_older_ticket_is_outdated(
    opened: Open, scoring: Scoring
) -> None:
    async with opened() as vera, opened() as admin:
        person = await enter_as(vera, scoring, Role.MANAGER, stores={"A1"})
        told = await _told(scoring, person)
        assert set(told[-1].stores or ()) == {"A1", "Arbat", "Арбат"}
        async with scoring.database.sessions.begin() as session:
            administrator = await accounts.add(session, login="root", name="Root", roles=[Role.ADMINISTRATOR])
        await admin.post(administrator.url(""), data={"password": PASSWORD, "again": PASSWORD})
        changed = await admin.post(
            f"/people/{person}",
            data={"name": "Vera", "role": "manager", "sees": "part", "stores": "Nevsky", "region": "Moscow"},
        )
        assert changed.status_code == 303
        newer = (await _told(scoring, person))[-1]
        assert set(newer.stores or ()) == {"A1", "Arbat", "Арбат", "N1", "Nevsky"}
        assert newer.revision > told[-1].revision
        assert (await vera.get("/v1/nps", params={"program": "after-purchase"})).json()["series"][0]["n"] == 2
        await admin.post(f"/people/{person}/off")
        assert (await _told(scoring, person))[-1].revision > newer.revision
        assert (await vera.get("/v1/nps")).headers["location"].startswith("/login/renew?")


@pytest.mark.usefixtures("chain")
async def test_change_of_the_list_of_stores_changes_what_people_see(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    person = await enter_as(web, scoring, Role.MANAGER, regions={"Moscow"})
    before = (await _told(scoring, person))[-1]
    async with scoring.database.sessions.begin() as session:
        await saving.save(session, Store("N1", "Nevsky", (), "Moscow"), expected=lambda _: True)
    after = (await _told(scoring, person))[-1]
    assert set(after.stores or ()) - set(before.stores or ()) == {"N1", "Nevsky"}
    assert (await web.get("/v1/nps", params={"program": "after-purchase"})).json()["series"][0]["n"] == 2
    async with scoring.database.sessions.begin() as session:
        for code in ("A1", "N1"):
            await saving.remove(session, code, expected=lambda _: True)
    assert (await _told(scoring, person))[-1].stores == []
    series = (await web.get("/v1/nps", params={"program": "after-purchase"})).json()["series"]
    assert sum(each["n"] + each["invited"] for each in series) == 0


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"sees": "part"}, "choose a program, a region or a store"),
        ({"sees": "part", "stores": "Mars"}, "there is no store Mars"),
        ({"sees": "part", "region": "Mars"}, "there is no region Mars"),
        ({"sees": "part", "program": "mars"}, "there is no program mars"),
    ],
)
@pytest.mark.usefixtures("chain")
async def test_scope_of_what_does_not_exist_is_refused(
    web: httpx2.AsyncClient, scoring: Scoring, given: dict[str, str], why: str
) -> None:
    async with scoring.database.sessions.begin() as session:
        administrator = await accounts.add(session, login="root", name="Root", roles=[Role.ADMINISTRATOR])
    await web.post(administrator.url(""), data={"password": PASSWORD, "again": PASSWORD})
    refused = await web.post("/people", data={"login": "anna", "name": "Anna", "role": "manager"} | given)
    assert (refused.status_code, why in refused.text) == (422, True)
    async with scoring.database.sessions.begin() as session:
        assert await stored.by_login(session, "anna") is None


@pytest.fixture
async def root(web: httpx2.AsyncClient, scoring: Scoring) -> httpx2.AsyncClient:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
        administrator = await accounts.add(session, login="root", name="Root", roles=[Role.ADMINISTRATOR])
    await web.post(administrator.url(""), data={"password": PASSWORD, "again": PASSWORD})
    return web


async def scope_of(scoring: Scoring, login: str) -> str:
    async with scoring.database.sessions.begin() as session:
        found = await stored.by_login(session, login)
    assert found is not None
    return found[0].scope.text


async def test_form_that_says_nothing_of_the_scope_leaves_it_and_never_widens_it(
    root: httpx2.AsyncClient, scoring: Scoring
) -> None:
    form = {"login": "anna", "name": "Anna", "role": "manager"}
    await root.post("/people", data=form | {"stores": "Arbat"})  # without the choice beside it
    assert await scope_of(scoring, "anna") == "stores A1"
    anna = re.findall(r'href="(/people/[0-9a-f-]+)">Anna<', (await root.get("/people")).text)[0]
    await root.post(anna, data={"name": "Anna", "role": "analyst"})
    assert await scope_of(scoring, "anna") == "stores A1"
    assert (await root.post(anna, data={"name": "Anna", "role": "manager", "sees": "bogus"})).status_code == 422
    assert await scope_of(scoring, "anna") == "stores A1"


async def test_older_page_of_a_person_does_not_undo_what_another_has_changed(
    root: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await root.post("/people", data={"login": "anna", "name": "Anna", "role": "manager", "sees": "all"})
    anna = re.findall(r'href="(/people/[0-9a-f-]+)">Anna<', (await root.get("/people")).text)[0]
    [version] = re.findall('name="version" value="([0-9a-f]+)"', (await root.get(anna)).text)
    narrowed = {"name": "Anna", "role": "manager", "sees": "part", "stores": "A1", "version": version}
    assert (await root.post(anna, data=narrowed)).status_code == 303
    older = await root.post(anna, data={"name": "Anna P", "role": "manager", "sees": "all", "version": version})
    assert (older.status_code, "changed this person meanwhile (Anna, manager, sees stores A1)" in older.text) == (
        422,
        True,
    )
    assert await scope_of(scoring, "anna") == "stores A1"


async def test_region_that_is_gone_stays_in_the_form_until_it_is_taken_away(
    root: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await scoring.asked()
    form = {"login": "anna", "name": "Anna", "role": "manager", "sees": "part", "region": "Moscow"}
    await root.post("/people", data=form | {"program": "after-purchase"})
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [Store("A1", "Arbat", (), "Centre")])
    anna = re.findall(r'href="(/people/[0-9a-f-]+)">Anna<', (await root.get("/people")).text)[0]
    page = (await root.get(anna)).text
    assert 'name="region" value="Moscow" checked> Moscow (gone)' in page
    refused = await root.post(anna, data=form | {"program": "after-purchase"})
    assert (refused.status_code, "there is no region Moscow" in refused.text) == (422, True)
    assert await scope_of(scoring, "anna") == "programs after-purchase, regions Moscow"


async def test_names_of_stores_that_are_not_listed_are_for_who_sees_all(
    web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await scoring.asked(segments={"store": "Nowhere"})
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT])
    await enter_as(web, scoring, Role.MANAGER, stores={"A1"})
    assert (await web.get("/v1/stores")).json()["unlisted"] == []
    assert "Nowhere" not in (await web.get("/stores")).text


async def test_administrator_of_a_part_is_not_the_one_who_remains(web: httpx2.AsyncClient, scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT])
        root = await accounts.add(session, login="root", name="Root", roles=[Role.ADMINISTRATOR])
    await enter_as(web, scoring, Role.ADMINISTRATOR, stores={"A1"})
    async with scoring.database.sessions.begin() as session:
        with pytest.raises(Exception, match="nobody else"):
            await accounts.turn(session, root.person.id, off=True)


async def _told(scoring: Scoring, person: UUID) -> list[StaffChanged]:
    events = [event.payload for event in await scoring.published("staff.changed")]
    return [each for each in events if isinstance(each, StaffChanged) and each.person_id == person]


async def test_store_that_somebody_sees_is_not_deleted(opened: Open, web: httpx2.AsyncClient, scoring: Scoring) -> None:
    async with scoring.database.sessions.begin() as session:
        await listed.put(session, [ARBAT, NEVSKY])
    await enter_as(web, scoring, Role.MANAGER, stores={"A1"})
    assert (await web.get("/stores/import")).status_code == 403
    async with opened() as admin:
        await enter_as(admin, scoring, Role.ADMINISTRATOR, login="admin")
        for path, form in (("/v1/stores/A1", None), ("/stores/delete", {"code": "A1", "version": ARBAT.version})):
            refused = await admin.request("DELETE" if form is None else "POST", path, data=form)
            assert (refused.status_code, "1 person is set to see this store" in refused.text) == (409, True)
        assert (await admin.delete("/v1/stores/N1")).status_code == 204
