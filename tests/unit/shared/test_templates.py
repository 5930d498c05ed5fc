"""The templates of a folder: escaping by their ending, and names that are missing."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from shared.web.templates import template_environment


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
