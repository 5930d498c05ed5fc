"""`make mutants`: which changes it plants, and that it leaves the working tree unchanged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.mutants.__main__ import main
from tests.mutants.planting import mutants


@pytest.mark.parametrize(
    ("written", "planted"),
    [
        ("a < b", ["a <= b", "a >= b"]),
        ("a == b", ["a != b"]),
        ("a in b", ["a not in b"]),
        ("a < b is c", ["a <= b is c", "a >= b is c", "a < b is not c"]),
        ("a and b", ["a or b"]),
        ("not a", ["not not a"]),
        ("a + 7", ["a + 8", "a + 6"]),
        ("a(flag=True)", ["a(flag=False)"]),
        ("a(b, c, d=e)", ["a(c, b, d=e)"]),
        ("a(b, b)", []),
        ("min(a, b)", ["max(a, b)"]),
        ("'Where is it, and who?'", []),
        ("'DELETE FROM t WHERE a AND b'", ["'DELETE FROM t WHERE true OR a AND b'", "'DELETE FROM t WHERE a OR b'"]),
        ("'SELECT a FROM t ORDER BY a LIMIT 1'", ["'SELECT a FROM t ORDER BY a DESC LIMIT 1'"]),
        ("f'SELECT {a} WHERE a < 1'", ["f'SELECT {a} WHERE true OR a < 1'", "f'SELECT {a} WHERE a <= 1'"]),
    ],
)
def test_each_place_that_decides_something_is_changed(written: str, planted: list[str]) -> None:
    assert [one.source for one in mutants(f"x = {written}")] == [f"x = {one}" for one in planted]


def test_survivor_is_named_and_nothing_stays_planted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "tests" / "unit" / "shared").mkdir(parents=True)
    source = "def seen(a, b):\n    return a == b\n\n\ndef unseen(a, b):\n    return a is b\n"
    (tmp_path / "shared" / "same.py").write_text(source)
    test = "from shared.same import seen\n\n\ndef test_it():\n    assert seen(1, 1)\n"
    (tmp_path / "tests" / "unit" / "shared" / "test_same.py").write_text(test)
    subprocess.run(("git", "init", "-q", tmp_path), check=True)  # noqa: S607
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take most of the time
    assert main(["shared/same.py"], root=tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "shared/same.py:6: a is b → a is not b",
        "shared/same.py: 1 of 2 planted bugs were not detected by tests/unit/shared",
    ]
    assert (tmp_path / "shared" / "same.py").read_text() == source
