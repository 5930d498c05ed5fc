"""Log-in at an identity provider, against a loopback one that misbehaves in every way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pyotp
import pytest
import structlog
from joserfc import jwt
from starlette.responses import JSONResponse, Response

from deploy.ports import free_ports
from services.scoring.config import ScoringSettings
from services.scoring.domain.people.identity import Identity
from services.scoring.people import accounts
from services.scoring.people.oidc.provider import LogInFailed, Provider, ProviderAway
from services.scoring.people.oidc.tokens import LOGOUT
from services.scoring.repository.people import accounts as stored
from shared.contract.vocabulary import Role
from shared.web.staff.tickets import BegunLogIn
from tests.integration.scoring.people.conftest import MachineClock, Open, enter, joined
from tests.integration.scoring.people.fake_provider import (
    CLIENT,
    OTHER_KEY,
    SECRET,
    FakeProvider,
    begin,
    come_back,
    enter_with,
    fake_provider,
)
from tests.integration.scoring.stand import Scoring

AT_HASH = base64.urlsafe_b64encode(hashlib.sha256(b"opaque").digest()[:16]).decode().rstrip("=")
EAST = {"east": {"regions": ["East"], "programs": ["returns"]}}
DISCOVERY = "GET /.well-known/openid-configuration"


@pytest.fixture
async def fake(machine: MachineClock) -> AsyncIterator[FakeProvider]:
    async with fake_provider(machine.now) as provider:
        yield provider


@pytest.fixture
async def other(machine: MachineClock) -> AsyncIterator[FakeProvider]:
    async with fake_provider(machine.now) as provider:
        yield provider


@pytest.fixture
def settings(fake: FakeProvider, other: FakeProvider) -> ScoringSettings:
    second = other.settings(id="other", label="Partners", second_factor=["mfa"], limits=EAST)
    return ScoringSettings(
        _env_file=None, oidc=(fake.settings(), second), second_factor=frozenset([Role.ADMINISTRATOR])
    )


def is_in(web: httpx2.AsyncClient) -> bool:
    return "earshot" in web.cookies


async def people(scoring: Scoring) -> dict[str, tuple[str, set[str]]]:
    """Return names and roles of all people by login."""
    async with scoring.database.sessions() as session:
        return {each.login: (each.name, {*each.roles}) for each in await stored.load_all(session)}


async def test_first_log_in_makes_an_account_with_the_roles_of_the_groups(
    web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring
) -> None:
    assert "Company account" in (await web.get("/login")).text
    url = await begin(web, next="/desk?queue=1")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert (url.split("&")[0], asked["tenant"]) == (f"{fake.issuer}/authorize?tenant=7", "7")
    assert {name: asked[name] for name in ("response_type", "client_id", "code_challenge_method", "scope")} == {
        "response_type": "code",
        "client_id": CLIENT,
        "code_challenge_method": "S256",
        "scope": "openid profile",
    }
    assert asked["redirect_uri"] == "http://127.0.0.1:8000/login/from/fake"
    done = await come_back(web, fake.agree(url))
    assert (done.status_code, done.headers["location"]) == (303, "http://127.0.0.1:8000/desk?queue=1")
    assert fake.gateway.authorization[fake.gateway.paths.index("POST /token")] == (
        "Basic " + base64.b64encode(b"earshot:secret+of+the+client%3A+100+%25").decode()
    )
    assert await people(scoring) == {"olga": ("Olga Petrova", {Role.SUPERVISOR})}
    account = (await web.get("/account")).text
    assert ("You log in by Company account" in account, "Change the password" in account) == (True, False)
    assert (await web.get("/people", headers={"accept": "*/*"})).status_code == 403


async def test_second_log_in_is_the_same_person(web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring) -> None:
    await enter_with(web, fake)
    fake.claims = {"name": "Olga Sidorova", "preferred_username": "sidorova"}
    assert (await enter_with(web, fake)).status_code == 303
    assert await people(scoring) == {"olga": ("Olga Sidorova", {Role.SUPERVISOR})}


async def test_local_account_is_never_taken_for_the_same_person(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider, scoring: Scoring
) -> None:
    async with opened() as local:
        await joined(local, scoring, "olga", Role.ADMINISTRATOR)
    fake.claims = {"email": "olga", "email_verified": True}
    assert (await enter_with(web, fake)).status_code == 303
    assert await people(scoring) == {
        "olga": ("Olga Petrova", {Role.ADMINISTRATOR}),
        "olga-2": ("Olga Petrova 2", {Role.SUPERVISOR}),
    }
    assert (await web.get("/people", headers={"accept": "*/*"})).status_code == 403


async def test_name_that_looks_like_that_of_another_gets_a_number(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider, scoring: Scoring
) -> None:
    async with opened() as local:
        await joined(local, scoring, "olga", Role.ADMINISTRATOR)
    fake.claims = {"name": "\u041elga Petrova"}
    assert (await enter_with(web, fake)).status_code == 303
    names = {name for name, _ in (await people(scoring)).values()}
    assert names == {"Olga Petrova", "\u041elga Petrova 2"}


async def test_same_subject_of_another_provider_is_another_person(
    web: httpx2.AsyncClient, fake: FakeProvider, other: FakeProvider, scoring: Scoring
) -> None:
    await enter_with(web, fake)
    assert (await come_back(web, other.agree(await begin(web, "other")), "other")).status_code == 303
    assert [*await people(scoring)] == ["olga", "olga-2"]


async def test_role_follows_the_groups_at_the_next_log_in(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider, scoring: Scoring
) -> None:
    await enter_with(web, fake)
    fake.claims = {"realm_access": {"roles": ["cooks"]}}
    async with opened() as phone:
        refused = await enter_with(phone, fake)
        assert (refused.status_code, "none of your groups" in refused.text, is_in(phone)) == (403, True, False)
    assert (await web.get("/desk")).status_code == 307  # the sessions of before have ended
    fake.claims = {"realm_access": {"roles": ["cooks", "nps-supervisors"]}}
    assert (await enter_with(web, fake)).status_code == 303
    assert await people(scoring) == {"olga": ("Olga Petrova", {Role.SUPERVISOR})}


async def test_limits_of_the_groups_are_what_the_person_sees(
    web: httpx2.AsyncClient, other: FakeProvider, scoring: Scoring
) -> None:
    other.claims = {"realm_access": {"roles": ["nps-supervisors", "east"]}}
    with structlog.testing.capture_logs() as logs:
        await come_back(web, other.agree(await begin(web, "other")), "other")
    assert await _scopes(scoring) == ["programs returns, regions East"]
    [warning] = [line for line in logs if line["event"] == "log_in.scope_unknown"]
    assert (warning["provider"], warning["unknown"]) == ("other", ["East", "returns"]), "a warning alone"
    insert = "INSERT INTO programs (id, version, document) VALUES ('returns', 1, '{}')"
    await scoring.rows(insert)
    with structlog.testing.capture_logs() as logs:
        await come_back(web, other.agree(await begin(web, "other")), "other")
    assert [line["unknown"] for line in logs if line["event"] == "log_in.scope_unknown"] == [["East"]]
    other.claims = {"realm_access": {"roles": ["nps-supervisors"]}}
    await come_back(web, other.agree(await begin(web, "other")), "other")
    assert await _scopes(scoring) == ["everything"]


async def _scopes(scoring: Scoring) -> list[str]:
    async with scoring.database.sessions() as session:
        return [each.scope.text for each in await stored.load_all(session)]


async def test_stranger_without_a_role_gets_no_account(
    web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring
) -> None:
    fake.claims = {"realm_access": None}
    assert (await enter_with(web, fake)).status_code == 403
    assert await people(scoring) == {}


async def test_whoever_is_turned_off_stays_off(web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring) -> None:
    await enter_with(web, fake)
    async with scoring.database.sessions.begin() as session:
        (olga,) = await stored.load_all(session)
        await accounts.turn(session, olga.id, off=True)
    refused = await enter_with(web, fake)
    assert (refused.status_code, "turned off" in refused.text) == (403, True)
    assert (await web.get("/desk")).status_code == 307


async def test_person_of_a_provider_gets_no_password(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider, other: FakeProvider, scoring: Scoring
) -> None:
    await enter_with(web, fake)
    async with opened() as admin:
        other.claims = {"sub": "admin", "name": "Anna", "realm_access": {"roles": ["it"]}, "amr": ["mfa"]}
        other.userinfo = {"sub": "admin"}
        await come_back(admin, other.agree(await begin(admin, "other")), "other")
        async with scoring.database.sessions() as session:
            (olga,) = [each for each in await stored.load_all(session) if each.name == "Olga Petrova"]
        assert "logs in by Partners" in (await admin.get("/people")).text
        page = (await admin.get(f"/people/{olga.id}")).text
        assert ("Logs in by Company account" in page, "Make a link" in page) == (True, False)
        refused = await admin.post(f"/people/{olga.id}/link")
        assert (refused.status_code, "has no password here" in refused.text) == (422, True)
    async with opened() as guesser:
        assert (await enter(guesser, "olga", "")).status_code == 401


def _segment(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _unsigned(_fake: FakeProvider, claims: dict[str, Any]) -> str:
    return f"{_segment({'alg': 'none'})}.{_segment(claims)}."


def _by_public_key(fake: FakeProvider, claims: dict[str, Any]) -> str:
    """Sign with the text of the public key as a shared secret (RFC 8725, 2.1)."""
    text = f"{_segment({'alg': 'HS256', 'kid': fake.keys[0].kid})}.{_segment(claims)}"
    signature = hmac.digest(fake.keys[0].as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _by_another_key(fake: FakeProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": fake.keys[0].kid}, claims, OTHER_KEY, algorithms=["RS256"])


async def test_token_with_a_wrong_signature_is_refused(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    for sign in (_unsigned, _by_public_key, _by_another_key, lambda _fake, _claims: "x.y.z"):
        fake.sign = partial(sign, fake)
        refused = await enter_with(web, fake)
        told = (refused.status_code, "Begin again" in refused.text, is_in(web))
        assert (sign, told) == (sign, (401, True, False))


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"iss": "https://elsewhere.example"},
    {"iss": None},
    {"aud": "another client"},
    {"aud": None},
    {"aud": ["another client"]},
    {"aud": [CLIENT, "another"]},  # for several, the authorized party has to be said
    {"aud": [CLIENT, "another"], "azp": "another"},
    {"azp": "another"},
    {"at_hash": "of another token"},
    {"at_hash": 7},
    {"exp": 1},
    {"exp": None},
    {"exp": "tomorrow"},
    {"iat": 4_000_000_000},
    {"iat": None},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 256},
    {"sub": "a\x00b"},
]


async def test_token_with_a_wrong_claim_is_refused(
    web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring
) -> None:
    fake.metadata = {"userinfo_endpoint": None}  # whose subject would differ, too
    for claims in WRONG_CLAIMS:
        fake.claims = claims
        refused = await enter_with(web, fake)
        told = (refused.status_code, "Begin again" in refused.text, is_in(web))
        assert (claims, told) == (claims, (401, True, False))
    assert await people(scoring) == {}


async def test_token_with_every_part_right_is_taken(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    fake.metadata = {"userinfo_endpoint": None}
    fake.claims = {"aud": [CLIENT, "x"], "azp": CLIENT, "at_hash": AT_HASH, "sub": "x" * 255}
    assert (await enter_with(web, fake)).status_code == 303


async def test_clocks_may_differ_by_a_minute(
    web: httpx2.AsyncClient, fake: FakeProvider, machine: MachineClock
) -> None:
    url = await begin(web)
    at = int(machine.now().timestamp())
    for claims, status in (({"iat": at + 61}, 401), ({"exp": at - 60}, 401), ({"iat": at + 59, "exp": at - 59}, 303)):
        fake.claims = claims
        assert (claims, (await come_back(web, fake.agree(url))).status_code) == (claims, status)
        url = await begin(web)


async def test_provider_without_an_asymmetric_algorithm_lets_nobody_in(
    web: httpx2.AsyncClient, fake: FakeProvider
) -> None:
    fake.metadata = {"id_token_signing_alg_values_supported": ["HS256", "none"]}
    assert ((await enter_with(web, fake)).status_code, is_in(web)) == (401, False)


async def test_answer_without_the_state_of_this_browser_is_refused(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider, machine: MachineClock
) -> None:
    answer = fake.agree(await begin(web))
    for wrong in (answer | {"state": "another"}, {"code": answer["code"]}, {}):
        assert (await come_back(web, wrong)).status_code == 401
    async with opened() as victim:  # a link with the answer to the log-in of an attacker
        refused = await come_back(victim, answer)
        assert (refused.status_code, is_in(victim)) == (401, False)
    assert "POST /token" not in fake.gateway.paths
    machine.after(minutes=11)
    assert (await come_back(web, answer)).status_code == 401
    assert "POST /token" not in fake.gateway.paths


async def test_answer_counts_once(web: httpx2.AsyncClient, opened: Open, fake: FakeProvider) -> None:
    url = await begin(web)
    kept = web.cookies["earshot-begun"]
    answer = fake.agree(url)
    assert (await come_back(web, answer)).status_code == 303
    assert (await come_back(web, answer)).status_code == 401
    async with opened(cookie=f"earshot-begun={kept}") as copy:
        assert (await come_back(copy, answer)).status_code == 401
        assert not is_in(copy)


async def test_answer_of_another_provider_is_refused(
    web: httpx2.AsyncClient, fake: FakeProvider, other: FakeProvider
) -> None:
    """A mix-up (RFC 9700, 4.4): the code of an honest provider never reaches another one."""
    honest = fake.agree(await begin(web))
    assert (await come_back(web, honest, "other")).status_code == 401
    dishonest = {**honest, "iss": other.issuer}
    assert (await come_back(web, dishonest)).status_code == 401
    nameless = {name: value for name, value in fake.agree(await begin(web)).items() if name != "iss"}
    assert (await come_back(web, nameless)).status_code == 401
    assert "POST /token" not in [*fake.gateway.paths, *other.gateway.paths]


async def test_code_that_was_begun_in_another_browser_is_refused(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider
) -> None:
    """Injection of a stolen code: it fits only the verifier of the browser that began."""
    async with opened() as victim:
        stolen = fake.agree(await begin(victim))
    own = fake.agree(await begin(web))
    assert (await come_back(web, own | {"code": stolen["code"]})).status_code == 401


async def test_whoever_says_no_at_the_provider_is_asked_again(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    answer = fake.agree(await begin(web, next="/desk"))
    refused = await come_back(web, {"error": "access_denied", "state": answer["state"], "iss": fake.issuer})
    assert (refused.status_code, "did not log you in" in refused.text) == (401, True)
    assert 'name="next" value="/desk"' in refused.text


BROKEN = (
    Response(status_code=500),
    Response("<html>"),
    Response("[" * 100_000),
    Response(b'{"issuer": "' + b"x" * 6_000_000 + b'"}'),
    JSONResponse({"issuer": "https://elsewhere.example"}),
    Response(status_code=302, headers={"location": "http://127.0.0.1:1/"}),
)


async def test_provider_that_is_broken_leaves_the_other_ways(
    web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring
) -> None:
    for reply in BROKEN:
        fake.replies[DISCOVERY] = reply
        away = await web.post("/login/with/fake")
        assert (away.status_code, "Company account does not answer" in away.text) == (503, True)
        assert "Partners" in away.text
    await joined(web, scoring, "anna", Role.SUPERVISOR)
    assert (await enter(web, "anna")).status_code == 303


async def test_discovery_that_leads_elsewhere_is_refused(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    wrong: list[dict[str, Any]] = [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
        {"jwks_uri": "https://[", "userinfo_endpoint": 7},
    ]
    for metadata in wrong:
        fake.metadata = metadata
        assert (await web.post("/login/with/fake")).status_code == 503
    fake.metadata = {}
    assert (await enter_with(web, fake)).status_code == 303


async def test_provider_that_breaks_in_the_middle_is_told(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    for path in ("GET /keys", "POST /token", "GET /userinfo"):
        fake.replies = {path: Response(status_code=502)}
        refused = await enter_with(web, fake)
        assert (refused.status_code, "does not answer" in refused.text, is_in(web)) == (503, True, False)


async def test_keys_that_changed_are_fetched_anew_and_at_most_once_a_minute(
    fake: FakeProvider, machine: MachineClock
) -> None:
    provider = Provider(fake.settings(), seconds=machine.seconds)

    async def log_in() -> Identity:
        begun = BegunLogIn.at("fake", target="")
        answer = fake.agree(await provider.authorization_url(begun, callback="http://127.0.0.1/"))
        return await provider.identity(
            begun, code=answer["code"], issuer=fake.issuer, callback="http://127.0.0.1/", now=machine.now()
        )

    await log_in()
    fake.keys = [OTHER_KEY]
    for _ in range(3):
        with pytest.raises(LogInFailed, match="No key for kid"):
            await log_in()
    assert fake.gateway.paths.count("GET /keys") == 1
    machine.after(seconds=61)
    assert (await log_in()).subject == "f81d4fae"
    assert fake.gateway.paths.count("GET /keys") == 2
    machine.after(hours=2)  # a key that was taken back counts for an hour at most
    fake.replies["GET /keys"] = JSONResponse({"keys": [{"kty": "new"}, {"kty": "RSA", "use": "enc"}, 7]})
    with pytest.raises(LogInFailed):
        await log_in()


async def test_provider_that_hangs_is_given_up(fake: FakeProvider) -> None:
    fake.replies[DISCOVERY] = None
    with pytest.raises(ProviderAway, match="in time"):
        await Provider(fake.settings(), patience_s=0.1).log_out_url(back="")


async def test_provider_that_does_not_run_is_told(fake: FakeProvider) -> None:
    (port,) = free_ports(1)
    settings = fake.settings(issuer=f"http://127.0.0.1:{port}")
    with pytest.raises(ProviderAway, match="cannot be reached"):
        await Provider(settings).log_out_url(back="")


async def test_groups_of_the_userinfo_count(web: httpx2.AsyncClient, fake: FakeProvider, scoring: Scoring) -> None:
    fake.claims, fake.userinfo = {"realm_access": None, "name": None}, {"realm_access": {"roles": ["nps-supervisors"]}}
    assert (await enter_with(web, fake)).status_code == 303
    assert await people(scoring) == {"olga": ("olga", {Role.SUPERVISOR})}
    fake.userinfo |= {"sub": "somebody else"}
    assert (await enter_with(web, fake)).status_code == 401


async def test_role_that_needs_a_second_factor_sets_it_up_after_the_provider(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider, machine: MachineClock
) -> None:
    fake.claims = {"realm_access": {"roles": ["it"]}, "amr": ["pwd", "mfa"]}  # this provider is not trusted with it
    asked = await enter_with(web, fake)
    assert (asked.status_code, "/login/set-up" in asked.text, is_in(web)) == (200, True, False)
    secret, half = (asked.text.split(f'name="{name}" value="')[1].split('"')[0] for name in ("secret", "half"))
    given = {"secret": secret, "half": half, "code": pyotp.TOTP(secret).at(machine.now())}
    assert (await web.post("/login/set-up", data=given)).status_code == 200
    assert is_in(web)
    async with opened() as again:
        assert "/login/code" in (await enter_with(again, fake)).text


async def test_provider_that_is_trusted_with_the_second_factor_has_to_say_it(opened: Open, other: FakeProvider) -> None:
    told: list[dict[str, Any]] = [{"amr": ["mfa"]}, {"amr": ["pwd"]}, {"acr": "mfa"}, {"acr": ["otp"]}, {}]
    for claims in told:
        other.claims = {"realm_access": {"roles": ["it"]}, **claims}
        async with opened() as web:
            await come_back(web, other.agree(await begin(web, "other")), "other")
            assert (claims, is_in(web)) == (claims, "mfa" in str(claims))


async def test_log_out_leads_to_the_provider(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    await enter_with(web, fake)
    out = await web.post("/account/log-out")
    assert (out.headers["location"], is_in(web)) == ("/login?left=fake", False)
    assert "still logged in at Company account" in (await web.get("/login?left=fake")).text
    going = await web.post("/login/leave/fake")
    url = f"{fake.issuer}/logout?client_id=earshot&amp;post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%3A8000%2Flogin"
    assert url in going.text


async def test_provider_ends_the_sessions_of_whoever_logs_out_there(
    web: httpx2.AsyncClient, opened: Open, fake: FakeProvider
) -> None:
    await enter_with(web, fake)
    wrong = [
        fake.token(nonce="x"),
        fake.token(),
        fake.token(events={LOGOUT: {}}, nonce="x"),
        fake.token(events={LOGOUT: {}}, aud="another"),
        fake.token(events=[LOGOUT]),
        "",
    ]
    async with opened() as provider:
        for token in wrong:
            assert (await provider.post("/login/backchannel/fake", data={"logout_token": token})).status_code == 400
        assert (await web.get("/desk")).status_code == 200
        right = {"logout_token": fake.token(events={LOGOUT: {}}, sid="a session")}
        assert (await provider.post("/login/backchannel/other", data=right)).status_code == 400
        assert (await provider.post("/login/backchannel/fake", data=right)).status_code == 200
        assert (await web.get("/desk")).status_code == 307
        stranger = {"logout_token": fake.token(events={LOGOUT: {}}, sub="nobody")}
        assert (await provider.post("/login/backchannel/fake", data=stranger)).status_code == 200


async def test_what_was_typed_is_sent_from_the_tab_that_has_it(
    web: httpx2.AsyncClient, fake: FakeProvider, machine: MachineClock
) -> None:
    await enter_with(web, fake)
    machine.after(hours=3)
    asked = await web.post("/desk/0199/answer", data={"comment": "long and careful"})
    shown = (await web.post(asked.headers["location"], data={"comment": "long and careful"})).text
    assert 'action="/login/with/fake" target="_blank"' in shown
    kept = {"next": "/desk/0199/answer", "kept": json.dumps([await _person_of(web), [["comment", "long and careful"]]])}
    assert "Log in with" in (await web.post("/login/kept", data=kept)).text
    await enter_with(web, fake)
    assert "long and careful" in (await web.post("/login/kept", data=kept)).text


async def _person_of(web: httpx2.AsyncClient) -> str:
    payload = web.cookies["earshot"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "==="))["sub"])


async def test_one_client_makes_us_ask_a_provider_ten_times_and_then_waits(opened: Open, fake: FakeProvider) -> None:
    fake.replies[DISCOVERY] = Response(status_code=500)
    async with opened(peer="8.8.4.4") as stranger:
        begun = [(await stranger.post("/login/with/fake")).status_code for _ in range(11)]
        ended = await stranger.post("/login/backchannel/fake", data={"logout_token": "x"})
    assert (begun, ended.status_code) == ([503] * 10 + [429], 429)
    assert fake.gateway.paths.count(DISCOVERY) == 10


async def test_unknown_provider_is_not_found(web: httpx2.AsyncClient) -> None:
    for path in ("with", "from", "leave", "backchannel"):
        assert (await web.post(f"/login/{path}/nobody")).status_code == 404
    assert (await web.get("/login/from/nobody")).status_code == 404


async def test_log_says_why_without_what_was_sent(web: httpx2.AsyncClient, fake: FakeProvider) -> None:
    fake.claims = {"aud": "another"}
    with structlog.testing.capture_logs() as logs:
        answer = fake.agree(await begin(web))
        await come_back(web, answer)
    (line,) = [line for line in logs if line["event"] == "log_in.refused"]
    assert (line["provider"], line["result"]) == ("fake", "LogInFailed")
    secrets = (answer["code"], answer["state"], "Petrova", "f81d4fae", SECRET)
    assert [each for each in secrets if each in str(logs)] == []
