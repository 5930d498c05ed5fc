"""`make mutants`: what it plants, and that it plants nothing in the tree it is called in."""

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


def test_survivor_is_counted_and_nothing_stays_planted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "tests" / "unit" / "shared").mkdir(parents=True)
    source = "def is_late(hour):\n    return hour > 21\n"
    (tmp_path / "shared" / "hours.py").write_text(source)
    seen = "from shared.hours import is_late\n\ndef test_it():\n    assert is_late(23) and not is_late(21)\n"
    (tmp_path / "tests" / "unit" / "shared" / "test_hours.py").write_text(seen)
    subprocess.run(("git", "init", "-q", tmp_path), check=True)  # noqa: S607
    assert main(["shared/hours.py"], root=tmp_path) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "shared/hours.py:2: 21 → 22"
    assert said[1].startswith("shared/hours.py: 1 of 4 planted were not seen by")
    assert (tmp_path / "shared" / "hours.py").read_text() == source
