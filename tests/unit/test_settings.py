"""Settings: all documented, all with a default that works, unknown names refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import ValidationError

from deploy import doctor
from deploy.all_in_one import AllSettings
from deploy.cli import unknown_settings
from shared.config import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_example_names_every_setting_and_no_other() -> None:
    settings = AllSettings.from_environment()
    parts = (settings.trigger, settings.dispatcher, settings.scoring)
    known = {f"EARSHOT_{name.upper()}" for part in parts for name in type(part).model_fields}
    assert set(dotenv_values(EXAMPLE)) == known


def test_example_holds_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    before = AllSettings.from_environment()
    for name, value in dotenv_values(EXAMPLE).items():
        if value:
            monkeypatch.setenv(name, value)
    assert AllSettings.from_environment() == before


def test_misspelt_setting_is_named() -> None:
    given = {"EARSHOT_SENT": "live", "EARSHOT_SEND": "live", "EARSHOT_TEST_KAFKA": "x", "PATH": "/bin"}
    assert unknown_settings(given) == ["EARSHOT_SENT"]


def test_link_keys_are_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LINK_KEYS", "k2:new, k1:old:er")
    settings = Settings()
    assert settings.link_secrets == {"k2": "new", "k1": "old:er"}
    assert settings.signing_key == "k2"


@pytest.mark.parametrize("wrong", ["nosecret", "k1:", ":x", " , "])
def test_wrong_link_keys_are_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("EARSHOT_LINK_KEYS", wrong)
    with pytest.raises(ValidationError, match="id:secret"):
        Settings()


def test_production_wants_secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = doctor.secrets_at_fault(Settings())
    assert fault is not None
    assert "EARSHOT_LINK_KEYS" in fault
    monkeypatch.setenv("EARSHOT_LINK_KEYS", "k1:secret")
    fault = doctor.secrets_at_fault(Settings())
    assert fault is not None
    assert "EARSHOT_STAFF_SECRET" in fault
    monkeypatch.setenv("EARSHOT_STAFF_SECRET", "secret")
    assert doctor.secrets_at_fault(Settings()) is None
