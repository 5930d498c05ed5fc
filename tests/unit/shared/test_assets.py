"""Every style sheet and script is named with its version, by pages and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.web.assets.files import FOLDER, asset

ROOT = Path(__file__).parents[3]
TEMPLATES = [path for part in ("services", "shared", "deploy") for path in (ROOT / part).rglob("*.html")]
NAMED = re.compile(r"""asset\(["']([^"']+)["']\)""")
LOADED = re.compile(r"""<(?:script\b|link rel="stylesheet")(?! (?:src|href)="{{ asset\()""")

LOADS_ANOTHER = re.compile(r"url\(|@import|^\s*(?:import|export)\b|\bimport\(|new Worker|/static", re.MULTILINE)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_name_no_static_file_without_its_version(template: Path) -> None:
    text = template.read_text()
    assert "/static" not in text
    assert LOADED.findall(text) == []
    assert [name for name in NAMED.findall(text) if not (FOLDER / name).is_file()] == []


def test_every_file_is_named_by_a_template() -> None:
    styles = re.findall(r'styles="(\w+)"', "".join(path.read_text() for path in ROOT.glob("s*/**/*.py")))
    named = {*(f"{name}.css" for name in styles), *(n for path in TEMPLATES for n in NAMED.findall(path.read_text()))}
    assert named == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_files_load_no_other_file(path: Path) -> None:
    """A version covers one file: what a file imports would be kept for a year under the old version."""
    assert LOADS_ANOTHER.findall(path.read_text()) == []


def test_a_name_without_a_file_is_an_error() -> None:
    with pytest.raises(KeyError):
        asset("nothing.css")
