"""The demo speaks the language of the terminal."""

from __future__ import annotations

import pytest

from deploy.addresses import print_addresses
from deploy.all_settings import ALL, AllSettings
from deploy.demo import terminal
from deploy.demo.progress import score_text
from shared.languages.current import current, language

SERIES = {"n": 21, "nps": 38.4, "interval": {"low": 24.2, "high": 50.1}}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru"}, "ru"),
        ({"LANG": "ru_UA.KOI8-U@euro"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": ""}, "ru"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "xx_YY"}, "en"),
        ({"LANG": "../../ru"}, "en"),
        ({"LANG": "@."}, "en"),
    ],
)
def test_language_of_a_terminal(environment: dict[str, str], expected: str) -> None:
    assert terminal.terminal_language(environment) == expected


def test_texts_are_in_the_language_of_the_terminal_and_only_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "ru_RU.UTF-8")
    with terminal.in_terminal_language():
        assert current.get().code == "ru"
        assert score_text(SERIES) == "всего 21 ответ, NPS [bold]+38[/] (+24 … +50)"
        assert score_text(None) == "оценки пока нет"
        print_addresses(AllSettings.from_environment(), ALL)
    assert current.get().code == "en"
    assert score_text(SERIES) == "21 answers in all, NPS [bold]+38[/] (+24 … +50)"
    printed = capsys.readouterr().out
    assert "  Сводка            http://127.0.0.1:" in printed
    assert language("ru", terminal.CATALOGUES).code == "ru"
