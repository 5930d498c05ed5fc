"""The templates of a folder: escaping by their ending, and names that are missing."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import jinja2
import pytest

from shared.languages import current, formats
from shared.web.templates import template_environment

ROOT = Path(__file__).parents[3]
FIXED = re.compile(r"""%[.\d]*[1-9]f["'] \||:[.\d]*[1-9]f\}|\{:g\}|strftime\(["'][^"']*%[AaBbdmYy]""")  # English alone


@pytest.fixture
def environment(tmp_path: Path) -> jinja2.Environment:
    for name in ("page.html", "mail.txt"):
        (tmp_path / name).write_text("{{ text }}")
    return template_environment(tmp_path)


def test_values_are_escaped_in_html_and_nowhere_else(environment: jinja2.Environment) -> None:
    assert environment.get_template("page.html").render(text="<b>") == "&lt;b&gt;"
    assert environment.get_template("mail.txt").render(text="<b>") == "<b>"


def test_a_missing_name_is_an_error(environment: jinja2.Environment) -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment.get_template("page.html").render()


@pytest.mark.parametrize(
    ("code", "numbers", "day"),
    [("en", "0.9, 12.5, 3, 0.03", "1 Nov 2026"), ("ru", "0,9, 12,5, 3, 0,03", "1 \N{CYRILLIC SMALL LETTER EN}")],
)
def test_numbers_and_days_are_written_as_the_language_does(
    environment: jinja2.Environment, code: str, numbers: str, day: str
) -> None:
    wanted = "{{ 0.9 | decimal('0.0') }}, {{ 12.5 | decimal }}, {{ 3 | decimal }}, {{ 0.03 | decimal }}"
    with current.speaking(current.language(code, current.SHARED)):
        assert environment.from_string(wanted).render() == numbers
        assert formats.day(date(2026, 11, 1)).replace("\N{NO-BREAK SPACE}", " ").startswith(day)


def test_no_template_writes_numbers_and_days_by_itself() -> None:
    templates = [path for folder in ("services", "shared") for path in (ROOT / folder).rglob("templates/*.html")]
    assert len(templates) > 50
    assert {path.name: found for path in templates if (found := FIXED.findall(path.read_text()))} == {}
