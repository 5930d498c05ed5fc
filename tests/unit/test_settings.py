"""Settings: all documented, all with a default that works, unknown names refused."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import asyncpg
import pytest
from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import SettingsError

from deploy.all_settings import AllSettings
from deploy.operations import error_messages
from deploy.operations.secret_findings import make_keys, problems_of_keys, problems_of_secrets
from deploy.setting_names import unknown_settings
from services.dispatcher.wiring import open_accounts
from shared import made_keys
from shared.config import Settings
from tests import keys

LINKS, ADDRESSES, TICKETS = (keys.SETTINGS[name] for name in ("link_keys", "address_keys", "ticket_keys"))
EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_example_names_every_setting_and_no_other() -> None:
    settings = AllSettings.from_environment()
    parts = (settings.trigger, settings.dispatcher, settings.scoring)
    known = {f"EARSHOT_{name.upper()}" for part in parts for name in type(part).model_fields}
    assert set(dotenv_values(EXAMPLE)) == known


def test_example_unchanged_gives_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    before = AllSettings.from_environment()
    shutil.copy(EXAMPLE, tmp_path / ".env")
    assert AllSettings.from_environment() == before


def test_misspelt_setting_is_named() -> None:
    given = {"EARSHOT_SENT": "live", "EARSHOT_SEND": "live", "EARSHOT_TEST_KAFKA": "x", "PATH": "/bin"}
    assert unknown_settings(given) == ["EARSHOT_SENT (did you mean EARSHOT_SEND?)"]


def test_setting_that_was_removed_says_what_came_instead() -> None:
    (told,) = unknown_settings({"EARSHOT_STAFF_SECRET": "x"})
    assert told == "EARSHOT_STAFF_SECRET (staff log in as people, and programs with API keys: see CHANGELOG.md)"


def test_link_keys_are_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LINK_KEYS", "k2:new, k1:old:er")
    settings = Settings()
    assert settings.link_secrets == {"k2": "new", "k1": "old:er"}
    assert settings.signing_key == "k2"


def test_setting_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").write_text(f"{LINKS}\n")
    monkeypatch.setenv("EARSHOT_LINK_KEYS_FILE", str(tmp_path / "keys"))
    (tmp_path / "secret").write_text("from a file")
    (tmp_path / ".env").write_text(f"EARSHOT_KAFKA_PASSWORD_FILE={tmp_path / 'secret'}\n")
    settings = Settings()
    assert settings.link_secrets == keys.LINK_KEYS
    assert settings.kafka_password.get_secret_value() == "from a file"
    assert "link_keys" in settings.model_fields_set
    monkeypatch.setenv("EARSHOT_KAFKA_PASSWORD", "said itself")
    assert Settings().kafka_password.get_secret_value() == "said itself"
    unknown = unknown_settings({"EARSHOT_LINK_KEYS_FILE": "/x", "EARSHOT_SENDS_FILE": "/x"})
    assert unknown == ["EARSHOT_SENDS_FILE (did you mean EARSHOT_SEND_FILE?)"]


def test_file_of_a_setting_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARSHOT_LINK_KEYS_FILE", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError) as refused:
        Settings()
    said = error_messages.explain(refused.value)
    assert said == f"EARSHOT_LINK_KEYS_FILE: cannot be read: [Errno 2] No such file or directory: '{tmp_path}/nothing'"


@pytest.mark.parametrize("wrong", ["nosecret", "k1:", ":x", " , "])
def test_wrong_link_keys_are_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("EARSHOT_LINK_KEYS", wrong)
    with pytest.raises(ValidationError, match="id:secret"):
        Settings()


def test_production_wants_secrets_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["EARSHOT_LINK_KEYS", "EARSHOT_ADDRESS_KEYS", "EARSHOT_TICKET_KEYS"]
    assert [each.split()[0] for each in problems_of_secrets(Settings())] == wanted
    monkeypatch.setenv("EARSHOT_LINK_KEYS", LINKS)
    assert [each.split()[0] for each in problems_of_secrets(Settings())] == wanted[1:]
    monkeypatch.setenv("EARSHOT_ADDRESS_KEYS", ADDRESSES)
    monkeypatch.setenv("EARSHOT_TICKET_KEYS", TICKETS)
    assert problems_of_secrets(Settings()) == []


@pytest.mark.parametrize(
    ("name", "weak", "problem"),
    [
        ("EARSHOT_LINK_KEYS", "k1:secret", "has a key of fewer than 32 characters, k1"),
        (
            "EARSHOT_LINK_KEYS",
            f"{LINKS},dev:only-for-this-machine",
            "has the development key dev, which everybody knows",
        ),
        ("EARSHOT_ADDRESS_KEYS", "a1:secret", "has a key of fewer than 32 characters, a1"),
        ("EARSHOT_ADDRESS_KEYS", "dev:addresses-of-this-machine", "has the development key dev, which everybody knows"),
        ("EARSHOT_TICKET_KEYS", "t1:secret", "has a key of fewer than 32 characters, t1"),
        (
            "EARSHOT_TICKET_KEYS",
            f"{TICKETS},dev:tickets-of-this-machine",
            "has the development key dev, which everybody knows",
        ),
    ],
)
def test_production_refuses_weak_secrets(monkeypatch: pytest.MonkeyPatch, name: str, weak: str, problem: str) -> None:
    strong = {"EARSHOT_LINK_KEYS": LINKS, "EARSHOT_ADDRESS_KEYS": ADDRESSES, "EARSHOT_TICKET_KEYS": TICKETS}
    for each, secret in {**strong, name: weak}.items():
        monkeypatch.setenv(each, secret)
    (found,) = problems_of_secrets(Settings())
    assert found.startswith(f"{name} {problem}: ")


def test_older_public_key_for_addresses_stays_so_that_opt_outs_are_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LINK_KEYS", LINKS)
    monkeypatch.setenv("EARSHOT_ADDRESS_KEYS", f"{ADDRESSES},dev:addresses-of-this-machine")
    monkeypatch.setenv("EARSHOT_TICKET_KEYS", TICKETS)
    assert problems_of_keys(Settings(), sends=True, is_shared=True) == []


def test_new_data_folder_gets_keys_of_its_own_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path / "data"))
    make_keys(Settings())
    first = Settings()
    assert len(first.link_secrets["k1"]) == len(first.address_fingerprints.keys["k1"]) == 64
    assert first.link_secrets.keys() == {"k1"}
    assert first.link_secrets["k1"] != first.address_fingerprints.keys["k1"]
    assert stat.S_IMODE((tmp_path / "data" / "keys.json").stat().st_mode) == 0o600
    make_keys(Settings())
    assert Settings() == first
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["keys.json"]


def test_data_folder_that_was_used_keeps_its_links_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    (tmp_path / "postgres").mkdir()
    make_keys(Settings())
    assert list(Settings().link_secrets) == list(Settings().address_fingerprints.keys) == ["k1", "dev"]
    assert list(Settings().ticket_secrets) == ["k1"]  # everybody could log in with the other
    assert Settings().signing_key == "k1"


def test_keys_that_are_set_make_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EARSHOT_LINK_KEYS", LINKS)
    monkeypatch.setenv("EARSHOT_ADDRESS_KEYS", ADDRESSES)
    monkeypatch.setenv("EARSHOT_TICKET_KEYS", TICKETS)
    make_keys(Settings())
    assert list(tmp_path.iterdir()) == []


def test_keys_of_a_kind_that_is_new_are_added_to_those_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EARSHOT_DATA_DIR", str(tmp_path))
    made_keys.make(tmp_path, earlier={"link_keys": {}, "address_keys": {}})
    before = Settings()
    make_keys(before)
    assert Settings().link_secrets == before.link_secrets
    assert Settings().address_fingerprints == before.address_fingerprints
    assert Settings().ticket_secrets.keys() == {"k1"}
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_demo_touches_nothing_of_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    real = {
        "SEND": "live",
        "SMTP_URL": "smtp://mail.example.com",
        "DATABASE_URL": "postgresql://production/db",
        "SCORING_DATABASE_URL": "postgresql://production/scoring",
        "EVENTS_URL": "kafka://production:9092",
        "CRM_EVENTS_URL": "kafka://production:9092",
        "TICKET_KEYS": TICKETS,
        "PUBLIC_URL": "https://survey.example.com",
        "HOST": "192.0.2.1",
        "SCORING_PORT": "9000",
    }
    for name, value in real.items():
        monkeypatch.setenv(f"EARSHOT_{name}", value)
    settings = AllSettings.for_demo(dispatcher_port=9002)
    assert open_accounts(settings.dispatcher) == []
    assert settings.trigger.host == "127.0.0.1"
    assert list(settings.trigger.ticket_secrets) == ["dev"]
    assert settings.dispatcher.public_url == "http://127.0.0.1:9000"
    assert settings.scoring.mailbox_url == "http://127.0.0.1:9000/mailbox"
    assert settings.dispatcher.unsubscribe_url == "http://127.0.0.1:9000"
    for part in (settings.trigger, settings.dispatcher, settings.scoring):
        assert (part.database_url, part.scoring_database_url, part.events_url) == ("", "", "")
    assert settings.trigger.crm_events_url == ""


def test_production_migrates_at_a_start_only_when_told_to() -> None:
    assert Settings().migrate_on_start
    assert not Settings(environment="production").migrate_on_start
    assert Settings(environment="production", migrate_on_start=True).migrate_on_start


def test_statement_of_another_session_is_blamed_on_the_pooler() -> None:
    """PgBouncer that ignores our settings lets a process start, and fails at its second server."""
    error = asyncpg.DuplicatePreparedStatementError('prepared statement "__asyncpg_stmt_1__" already exists')
    told = error_messages.explain(ExceptionGroup("tasks", [error]))
    assert told is not None
    assert "EARSHOT_DATABASE_POOLED=transaction" in told
