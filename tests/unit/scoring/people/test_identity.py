"""What the claims of an identity provider make of a person, and settings of providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deploy.operations import error_messages
from services.scoring.config import ScoringSettings
from services.scoring.domain.people.identity import free_login, free_name, texts_at
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from services.scoring.people.oidc.settings import ProviderSettings


def provider(**more: Any) -> dict[str, Any]:
    return {
        "id": "keycloak",
        "label": "Company account",
        "issuer": "https://sso.example.com/realms/staff",
        "client_id": "earshot",
        "roles": {"managers": ["manager", "analyst"], "/it/ops": ["administrator"]},
        **more,
    }


def identity(claims: dict[str, Any], **more: Any) -> Any:
    return ProviderSettings.model_validate(provider(**more)).identity_of({"sub": "7", **claims})


@pytest.mark.parametrize(
    ("claims", "path", "texts"),
    [
        ({"groups": ["a", "b"]}, "groups", {"a", "b"}),
        ({"groups": "a"}, "groups", {"a"}),
        ({"groups": ["a", 7, None, "", ["b"]]}, "groups", {"a"}),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"resource_access": {"ear.shot": {"roles": ["a"]}}}, "resource_access.ear.shot.roles", {"a"}),
        ({"https://shop.example/groups": ["a"]}, "https://shop.example/groups", {"a"}),
        ({"realm_access": "roles"}, "realm_access.roles", set()),
        ({"groups": {"a": 1}}, "groups", set()),
        ({}, "groups", set()),
    ],
)
def test_groups_are_read_where_the_path_leads(claims: dict[str, Any], path: str, texts: set[str]) -> None:
    assert texts_at(claims, path) == texts


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        (["managers"], {"manager", "analyst"}),
        (["managers", "/it/ops"], {"manager", "analyst", "administrator"}),
        (["Managers", "it"], set()),
        (None, set()),
    ],
)
def test_roles_are_those_of_all_groups(groups: Any, roles: set[str]) -> None:
    assert identity({"groups": groups}).roles == roles


def test_provider_suggests_login_and_name() -> None:
    found = identity({"name": "Olga", "preferred_username": "olga"})
    told = (found.issuer, found.subject, found.login, found.name, found.has_second_factor)
    assert told == ("https://sso.example.com/realms/staff", "7", "olga", "Olga", False)


def test_limits_of_all_groups_count_together() -> None:
    limits = {"vvo": {"stores": ["vvo-1"]}, "msk": {"stores": ["msk-1", "msk-2"], "programs": ["returns"]}}
    assert identity({"groups": ["managers", "vvo", "msk"]}, limits=limits).scope == PersonScope(
        programs=frozenset(["returns"]), stores=frozenset(["vvo-1", "msk-1", "msk-2"])
    )
    assert identity({"groups": ["managers", "it"]}, limits=limits).scope == EVERYTHING


@pytest.mark.parametrize("limit", [{}, {"stores": []}])
def test_limit_that_names_nothing_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="name something"):
        identity({"groups": ["managers"]}, limits={"managers": limit})


def test_claim_that_has_to_limit_and_is_empty_leaves_no_role() -> None:
    by_claim = {"limit_claims": {"regions": "shop.regions"}}
    limited = identity({"groups": ["managers"], "shop": {"regions": ["east"]}}, **by_claim)
    assert (limited.roles, limited.scope) == ({"manager", "analyst"}, PersonScope(regions=frozenset(["east"])))
    assert identity({"groups": ["managers"]}, **by_claim).roles == set()
    by_group = {"limits": {"managers": {"regions": ["west"]}}}
    assert identity({"groups": ["managers"]}, **by_claim, **by_group).scope == PersonScope(regions=frozenset(["west"]))


@pytest.mark.parametrize(
    ("setting", "claims", "has"),
    [
        (False, {"amr": ["mfa"]}, False),
        (True, {}, True),
        (["mfa", "2"], {"amr": ["pwd", "mfa"]}, True),
        (["mfa", "2"], {"acr": "2"}, True),
        (["mfa", "2"], {"acr": "1", "amr": "pwd"}, False),
    ],
)
def test_second_factor_counts_as_the_setting_says(*, setting: Any, claims: dict[str, Any], has: bool) -> None:
    assert identity(claims, second_factor=setting).has_second_factor is has


@pytest.mark.parametrize(
    ("wanted", "taken", "login"),
    [
        ("Olga", [], "olga"),
        ("olga", ["olga"], "olga-2"),
        ("olga", ["olga", "olga-2", "anna"], "olga-3"),
        ("", ["keycloak"], "keycloak-2"),
        ("two words", [], "keycloak"),
        ("bad\ud800", [], "keycloak"),
        ("x" * 101, [], "keycloak"),
        ("x" * 100, ["x" * 100], "x" * 94 + "-2"),
    ],
)
def test_login_is_free(wanted: str, taken: list[str], login: str) -> None:
    assert free_login(wanted, otherwise="keycloak", taken=taken) == login


@pytest.mark.parametrize(
    ("wanted", "taken", "name"),
    [
        (" Olga  Petrova", [], "Olga Petrova"),
        ("Olga Petrova", ["olga PETROVA"], "Olga Petrova 2"),
        ("", ["Anna"], "olga"),
        ("a\nb\x00", [], "olga"),
    ],
)
def test_name_is_free(wanted: str, taken: list[str], name: str) -> None:
    assert free_name(wanted, otherwise="olga", taken=taken) == name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([provider(issuer="http://sso.example.com")], "EARSHOT_OIDC (0.issuer): this has to be an https:// URL"),
        ([provider(), provider(id="other")], "EARSHOT_OIDC: every provider needs an id and an issuer of its own"),
        ([provider(), provider(issuer="https://b.example")], "EARSHOT_OIDC: every provider needs an id and an issuer"),
        ([provider(roles={"managers": ["boss"]})], "EARSHOT_OIDC (0.roles.managers.0): Input should be 'operator'"),
        ([provider(roles={})], "EARSHOT_OIDC (0.roles): "),
        ([provider(rolls={})], "EARSHOT_OIDC (0.rolls): "),
        ([provider(id="a/b")], "EARSHOT_OIDC (0.id): "),
        ([provider(label=" ")], "EARSHOT_OIDC (0.label): "),
    ],
)
def test_wrong_provider_is_named(monkeypatch: pytest.MonkeyPatch, given: list[Any], said: str) -> None:
    secret = [{"client_secret": "the secret"} | each for each in given]
    monkeypatch.setenv("EARSHOT_OIDC", json.dumps(secret))
    with pytest.raises(ValidationError) as refused:
        ScoringSettings(_env_file=None)
    told = error_messages.explain(refused.value)
    assert told is not None
    assert (told.startswith(said), "the secret" in told) == (True, False)


def test_providers_are_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "oidc.json").write_text(json.dumps([provider(client_secret="the secret")]))
    monkeypatch.setenv("EARSHOT_OIDC_FILE", str(tmp_path / "oidc.json"))
    (found,) = ScoringSettings(_env_file=None).oidc
    assert (found.id, found.client_secret.get_secret_value(), "the secret" in repr(found)) == (
        "keycloak",
        "the secret",
        False,
    )


def test_provider_is_asked_for_an_id_token_in_any_case() -> None:
    assert ProviderSettings.model_validate(provider(scopes=["email"])).scopes == ("openid", "email")
