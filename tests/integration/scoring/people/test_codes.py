"""The second factor: one-time codes of an app, recovery codes, and roles that need it."""

from __future__ import annotations

import re

import httpx2
import pyotp
import pytest

from services.scoring.config import ScoringSettings
from services.scoring.people import accounts
from services.scoring.repository.people import accounts as people
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import PASSWORD, MachineClock, Open, enter, invited, joined
from tests.integration.scoring.stand import Scoring


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(half|secret|login|next)" value="([^"]*)"', page))


def code_of(secret: str, machine: MachineClock) -> str:
    return pyotp.TOTP(secret).at(machine.at)


async def enrolled(web: httpx2.AsyncClient, machine: MachineClock) -> tuple[str, list[str]]:
    """Add a second factor on the account's page; return its secret and the recovery codes."""
    form = hidden((await web.get("/account/codes")).text)
    given = {**form, "code": code_of(form["secret"], machine), "old": PASSWORD}
    done = await web.post("/account/codes", data=given)
    assert done.status_code == 200
    machine.after(seconds=30)
    return form["secret"], re.findall(r"<li><code>([^<]+)</code>", done.text)


async def test_code_is_asked_for_after_the_password_and_counts_once(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as other:
        asked = await enter(other, "olga", next="/account")
        assert (asked.status_code, "The code of your app" in asked.text) == (200, True)
        assert "earshot" not in other.cookies
        assert (await other.get("/account")).status_code == 307
        form = hidden(asked.text)
        wrong = await other.post("/login/code", data={**form, "code": "000000"})
        assert (wrong.status_code, "earshot" in other.cookies) == (401, False)
        code = code_of(secret, machine)
        done = await other.post("/login/code", data={**form, "code": f" {code[:3]} {code[3:]} "})
        assert (done.status_code, done.headers["location"]) == (303, "http://127.0.0.1:8000/account")
        assert "A code of your app is asked for" in (await other.get("/account")).text
    async with opened() as thief:
        form = hidden((await enter(thief, "olga")).text)
        assert (await thief.post("/login/code", data={**form, "code": code})).status_code == 401
        machine.after(seconds=30)
        assert (await thief.post("/login/code", data={**form, "code": code_of(secret, machine)})).status_code == 303


@pytest.mark.parametrize(("late_s", "status"), [(-30, 303), (0, 303), (30, 303), (90, 401), (-600, 401)])
async def test_phone_whose_clock_is_a_little_off_gets_in(  # noqa: PLR0917 - fixtures
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock, late_s: int, status: int
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    machine.after(seconds=60)
    async with opened() as other:
        form = hidden((await enter(other, "olga")).text)
        phone = MachineClock(machine.at)
        phone.after(seconds=late_s)
        assert (await other.post("/login/code", data={**form, "code": code_of(secret, phone)})).status_code == status


async def test_recovery_code_logs_in_once(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    _, recovery = await enrolled(web, machine)
    assert len(set(recovery)) == 10
    async with opened() as other:
        form = hidden((await enter(other, "olga")).text)
        typed = recovery[3].upper().replace("-", " ")
        assert (await other.post("/login/code", data={**form, "code": typed})).status_code == 303
        form = hidden((await enter(other, "olga")).text)
        assert (await other.post("/login/code", data={**form, "code": typed})).status_code == 401
        assert (await other.post("/login/code", data={**form, "code": recovery[4]})).status_code == 303


async def test_guesses_of_codes_wait(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as thief:
        form = hidden((await enter(thief, "olga")).text)
        statuses = [(await thief.post("/login/code", data={**form, "code": f"{n:06}"})).status_code for n in range(11)]
        assert statuses == [401] * 10 + [429]
        waits = await thief.post("/login/code", data={**form, "code": code_of(secret, machine)})
        assert (waits.status_code, "Wait 144 minutes" in waits.text) == (429, True)


@pytest.mark.parametrize("half", ["", "x", "of the ticket"])
async def test_nobody_gives_the_second_factor_without_the_first(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock, half: str
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as thief:
        given = {"half": web.cookies["earshot"] if half == "of the ticket" else half, "code": code_of(secret, machine)}
        refused = await thief.post("/login/code", data=given)
        assert ("earshot" in thief.cookies, "Password" in refused.text) == (False, True)
        form = hidden((await enter(thief, "olga")).text)
        machine.after(minutes=5)
        late = await thief.post("/login/code", data={**form, "code": code_of(secret, machine)})
        assert ("earshot" in thief.cookies, "Password" in late.text) == (False, True)


async def test_new_password_by_link_does_not_go_past_the_second_factor(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    await enrolled(web, machine)
    async with scoring.database.sessions.begin() as session:
        found = await people.by_login(session, "olga")
        assert found is not None
        link = (await accounts.invite(session, found[0])).url("")
    async with opened() as other:
        new = "four other unrelated words"
        asked = await other.post(link, data={"password": new, "again": new})
        assert ("The code of your app" in asked.text, "earshot" in other.cookies) == (True, False)


async def test_second_factor_is_set_up_and_removed_with_the_password_only(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    form = hidden((await web.get("/account/codes")).text)
    right = {**form, "code": code_of(form["secret"], machine), "old": PASSWORD}
    for given in (right | {"old": "x"}, right | {"code": "1"}, right | {"secret": "short"}, right | {"secret": "!"}):
        assert (await web.post("/account/codes", data=given)).status_code == 422
    assert (await enter(web, "olga")).status_code == 303
    assert (await web.post("/account/codes", data=right)).status_code == 200
    again = hidden((await web.get("/account/codes")).text)
    second = {**again, "code": code_of(again["secret"], machine), "old": PASSWORD}
    assert (await web.post("/account/codes", data=second)).status_code == 422  # the first one has to go before
    assert (await web.post("/account/codes/remove", data={"old": "x"})).status_code == 422
    assert (await web.post("/account/codes/remove", data={"old": PASSWORD})).status_code == 303
    async with opened() as other:
        assert (await enter(other, "olga")).status_code == 303


async def test_administrator_takes_away_the_second_factor_of_a_lost_phone(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    await enrolled(web, machine)
    async with opened() as admin:
        await joined(admin, scoring, "admin", Role.ADMINISTRATOR)
        (path,) = re.findall(r'href="(/people/[^"]+)">Olga Petrova<', (await admin.get("/people")).text)
        assert "Remove the second factor" in (await admin.get(path)).text
        assert (await admin.post(f"{path}/codes/remove")).status_code == 303
        assert (await web.get("/account")).status_code == 307
        assert (await enter(web, "olga")).status_code == 303


@pytest.mark.parametrize("settings", [ScoringSettings(_env_file=None, second_factor="administrator, privacy_officer")])
async def test_role_that_needs_it_sets_it_up_before_the_first_session(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock, settings: ScoringSettings
) -> None:
    assert settings.second_factor == {Role.ADMINISTRATOR, Role.PRIVACY_OFFICER}
    link = (await invited(scoring, "admin", Role.ADMINISTRATOR)).url("")
    asked = await web.post(link, data={"password": PASSWORD, "again": PASSWORD})
    assert ("Your role needs a second factor" in asked.text, "earshot" in web.cookies) == (True, False)
    form = hidden(asked.text)
    wrong = await web.post("/login/set-up", data={**form, "code": "1"})
    assert (wrong.status_code, hidden(wrong.text)["secret"]) == (422, form["secret"])
    done = await web.post("/login/set-up", data={**form, "code": code_of(form["secret"], machine)})
    assert (done.status_code, done.text.count("<li><code>")) == (200, 10)
    assert (await web.get("/people")).status_code == 200
    again = await web.post("/login/set-up", data={**form, "code": code_of(form["secret"], machine)})
    assert (again.status_code, "Begin again" in again.text) == (401, True)
    async with opened() as other:
        await joined(other, scoring, "oleg", Role.OPERATOR)
        assert (await other.get("/desk")).status_code == 200


@pytest.mark.parametrize("settings", [ScoringSettings(_env_file=None, second_factor="administrator")])
@pytest.mark.usefixtures("settings")
async def test_set_up_of_somebody_who_has_set_it_up_in_another_tab_begins_again(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    link = (await invited(scoring, "admin", Role.ADMINISTRATOR)).url("")
    form = hidden((await web.post(link, data={"password": PASSWORD, "again": PASSWORD})).text)
    async with opened() as other:
        late = hidden((await enter(other, "admin")).text)
        assert (await web.post("/login/set-up", data={**form, "code": code_of(form["secret"], machine)})).is_success
        told = await other.post("/login/set-up", data={**late, "code": code_of(late["secret"], machine)})
    assert (told.status_code, "Begin again" in told.text, "code is another" in told.text) == (401, True, False)


def test_setting_names_only_roles() -> None:
    with pytest.raises(ValueError, match="second_factor"):
        ScoringSettings(_env_file=None, second_factor="astronaut")
