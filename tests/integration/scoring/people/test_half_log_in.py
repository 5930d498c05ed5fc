"""The log-in between its two factors: how long it counts, what ends it, and how wrong codes are slowed."""

from __future__ import annotations

import re

import httpx2
import pyotp
import pytest
from fastapi import FastAPI

from services.scoring.config import ScoringSettings
from services.scoring.people import accounts
from services.scoring.repository.people import accounts as people
from shared.contract.vocabulary import Role
from tests.integration.scoring.people.conftest import PASSWORD, MachineClock, Open, enter, joined
from tests.integration.scoring.people.test_codes import code_of, enrolled, hidden
from tests.integration.scoring.stand import Scoring

NEW = "four other unrelated words"
CHANGED = {"old": PASSWORD, "password": NEW, "again": NEW}


async def guessed(web: httpx2.AsyncClient, form: dict[str, str], *, times: int) -> list[int]:
    answers = [await web.post("/login/code", data={**form, "code": f"{number:06}"}) for number in range(times)]
    return [each.status_code for each in answers]


async def person_path(admin: httpx2.AsyncClient, name: str) -> str:
    (path,) = re.findall(rf'href="(/people/[^"]+)">{name}<', (await admin.get("/people")).text)
    return str(path)


async def test_half_log_in_ends_after_five_minutes_whatever_codes_were_tried(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as other:
        form = hidden((await enter(other, "olga")).text)
        for _ in range(4):
            machine.after(minutes=1)
            form = hidden((await other.post("/login/code", data={**form, "code": "000000"})).text)
        machine.after(minutes=1)
        late = await other.post("/login/code", data={**form, "code": code_of(secret, machine)})
        assert (late.status_code, "Begin again" in late.text, "earshot" in other.cookies) == (401, True, False)


async def test_half_log_in_ends_with_another_password(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as other:
        form = hidden((await enter(other, "olga")).text)
        assert (await web.post("/account/password", data=CHANGED)).status_code == 303
        late = await other.post("/login/code", data={**form, "code": code_of(secret, machine)})
        assert (late.status_code, "earshot" in other.cookies) == (401, False)


async def test_half_log_in_ends_with_a_password_by_a_one_time_link(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as other:
        form = hidden((await enter(other, "olga")).text)
        async with scoring.database.sessions.begin() as session:
            found = await people.by_login(session, "olga")
            assert found is not None
            link = (await accounts.invite(session, found[0])).url("")
        asked = await web.post(link, data={"password": NEW, "again": NEW})
        late = await other.post("/login/code", data={**form, "code": code_of(secret, machine)})
        assert (late.status_code, "earshot" in other.cookies) == (401, False)
        own = await web.post("/login/code", data={**hidden(asked.text), "code": code_of(secret, machine)})
        assert own.status_code == 303


async def test_half_log_in_ends_when_the_account_is_turned_off_and_on(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    async with opened() as other, opened() as admin:
        form = hidden((await enter(other, "olga")).text)
        await joined(admin, scoring, "admin", Role.ADMINISTRATOR)
        path = await person_path(admin, "Olga Petrova")
        for turned in ("off", "on"):
            assert (await admin.post(f"{path}/{turned}")).status_code == 303
        late = await other.post("/login/code", data={**form, "code": code_of(secret, machine)})
        assert (late.status_code, "earshot" in other.cookies) == (401, False)


@pytest.mark.parametrize("is_changed", [False, True])
async def test_whoever_had_the_password_sets_up_no_second_factor_in_place_of_one_that_was_removed(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock, *, is_changed: bool
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    await enrolled(web, machine)
    async with opened() as thief, opened() as admin:
        half = hidden((await enter(thief, "olga")).text)["half"]
        if is_changed:
            assert (await web.post("/account/password", data=CHANGED)).status_code == 303
        await joined(admin, scoring, "admin", Role.ADMINISTRATOR)
        assert (await admin.post(f"{await person_path(admin, 'Olga Petrova')}/codes/remove")).status_code == 303
        secret = pyotp.random_base32()
        given = {"half": half, "secret": secret, "login": "olga", "code": code_of(secret, machine)}
        refused = await thief.post("/login/set-up", data=given)
        assert (refused.status_code, "Begin again" in refused.text, "earshot" in thief.cookies) == (401, True, False)
    assert (await enter(web, "olga", NEW if is_changed else PASSWORD)).status_code == 303  # without a code


@pytest.mark.parametrize("settings", [ScoringSettings(_env_file=None, second_factor="operator")])
async def test_second_factor_is_set_up_by_one_of_two_who_know_the_password(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    own = hidden((await joined(web, scoring, "olga", Role.OPERATOR)).text)
    async with opened() as other:
        late = hidden((await enter(other, "olga")).text)
        for form, status in ((own, 200), (late, 401)):
            given = {**form, "code": code_of(form["secret"], machine)}
            assert (await other.post("/login/code", data=given)).status_code == 401  # a half of another kind
            assert (await web.post("/login/set-up", data=given)).status_code == status


async def test_wrong_codes_of_a_stranger_do_not_lock_the_person_out(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock, app: FastAPI
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, recovery = await enrolled(web, machine)
    assert "typed after your password" not in (await web.get("/account")).text
    async with opened() as thief, opened() as new:
        form = hidden((await enter(thief, "olga")).text)
        assert await guessed(thief, form, times=12) == [401] * 10 + [429] * 2
        own = hidden((await enter(web, "olga")).text)
        assert (await web.post("/login/code", data={**own, "code": code_of(secret, machine)})).status_code == 303
        await app.state.trail.write_counts()
        assert "10 wrong codes were typed after your password" in (await web.get("/account")).text
        other = hidden((await enter(new, "olga")).text)
        assert (await new.post("/login/code", data={**other, "code": recovery[0]})).status_code == 303


async def test_wrong_codes_are_ten_at_once_and_then_ten_a_day(
    web: httpx2.AsyncClient, opened: Open, scoring: Scoring, machine: MachineClock
) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    await enrolled(web, machine)
    async with opened() as thief:
        for hours, tried in ((0, 10), (12, 5), (24, 10), (1, 0)):
            machine.after(hours=hours)
            form = hidden((await enter(thief, "olga")).text)
            assert await guessed(thief, form, times=12) == [401] * tried + [429] * (12 - tried)


async def test_right_codes_are_not_counted(web: httpx2.AsyncClient, scoring: Scoring, machine: MachineClock) -> None:
    await joined(web, scoring, "olga", Role.OPERATOR)
    secret, _ = await enrolled(web, machine)
    for _ in range(15):
        machine.after(seconds=30)
        form = hidden((await enter(web, "olga")).text)
        assert (await web.post("/login/code", data={**form, "code": code_of(secret, machine)})).status_code == 303
