"""Files and folders that documents name exist, and every top folder of a service is explained."""

import re
from pathlib import Path

import pytest

from shared.contract.api_keys import KeyScope
from shared.contract.vocabulary import Service
from shared.web import routes
from shared.web.api_keys.scopes import scopes_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
PATH = re.compile(r"(?<![\w/.-])(?:services|shared|deploy|tests|docs|\.ci)/[\w./*-]*[\w*/]")
MODULE = re.compile(r"python -m ((?:services|shared|deploy|tests)[\w.]*)")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
PLACE = re.compile(r"^\|[^|]*\| (trigger|dispatcher|scoring) \|([^|]*)\|$", re.MULTILINE)
PYTHON_FILE = re.compile(r"`([\w/]+\.py)`")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
TEST = re.compile(r"`(test_\w+)`")
EVENTS = "/v1/events"
ROOM = re.compile(r"^\| `([a-z_]+)/?`", re.MULTILINE)


def test_there_are_documents_that_name_paths() -> None:
    assert "docs/flow.md" in NAMES
    assert len(PATH.findall((ROOT / "CONTRIBUTING.md").read_text())) > 5


@pytest.mark.parametrize("name", NAMES)
def test_paths_a_document_names_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    modules = [module.replace(".", "/") for module in MODULE.findall(text)]
    lost = [path for path in PATH.findall(text) if not any(ROOT.glob(path.rstrip("/")))]
    lost += [path for path in modules if not ((ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file())]
    assert lost == []


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_document_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    assert [link for link in LINK.findall((ROOT / name).read_text()) if not (folder / link).exists()] == []


def test_examples_send_a_key_where_one_is_needed() -> None:
    """A command of curl goes on over lines that end in a backslash, and in a quoted text."""
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    examples = re.findall(r"^ +curl (?:'[^']*'|\\\n|[^\n'])*", text, re.MULTILINE)
    asked = [(each, path[1]) for each in examples if (path := re.search(r"[\w…](/v1/[\w/-]*)", each))]
    needed = [each for each, path in asked if ((prefix := routes.find(path)) and prefix.is_for_staff) or path == EVENTS]
    assert len(needed) > 5
    assert [each for each in needed if "authorization: bearer " not in each.lower()] == []


def test_tests_that_the_security_table_names_exist() -> None:
    named = set(TEST.findall((ROOT / "docs/security.md").read_text()))
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text())}
    assert len(named) > 15
    assert named - defined == set()


def test_the_flow_names_places_that_exist() -> None:
    """The table has a column for the service and one for files and folders in it."""
    rows = PLACE.findall((ROOT / "docs/flow.md").read_text())
    places = [f"services/{service}/{place}" for service, cell in rows for place in re.findall("`([^`]+)`", cell)]
    assert len(places) > 15
    assert [place for place in places if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("part", ["services/trigger", "services/dispatcher", "services/scoring", "shared", "deploy"])
def test_every_top_folder_is_explained(part: str) -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition(f"\n#### `{part}`\n")[2].partition("\n#")[0]
    folders = {path.parent.name for path in (ROOT / part).glob("*/*") if path.parent.name != "__pycache__"}
    assert folders
    assert set(ROOM.findall(section)) == folders


def test_python_files_named_in_code_and_documents_exist() -> None:
    """By their name alone or with folders, in backquotes."""
    parts = ("services", "shared", "deploy", "tests")
    files = {str(path.relative_to(ROOT)) for part in parts for path in (ROOT / part).rglob("*.py")}
    ends = {end for file in files for end in _ends(file)}
    texts = {name: (ROOT / name).read_text() for name in {*files, *NAMES}}
    named = {(name, file) for name, text in texts.items() for file in PYTHON_FILE.findall(text)}
    assert len(named) > 10
    assert sorted((name, file) for name, file in named if file not in ends) == []


def _ends(file: str) -> set[str]:
    folders = file.split("/")
    return {"/".join(folders[start:]) for start in range(len(folders))}


def test_every_scope_of_keys_is_explained_with_its_service() -> None:
    section = (ROOT / "docs/integrate.md").read_text().partition("\n## Keys\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z]+:.*?) \| ([a-z ]+) \|", section, re.MULTILINE)
    explained = {scope: owner for scopes, owner in rows for scope in re.findall(r"`([a-z:]+)`", scopes)}
    owners = {scope: [service for service in Service if scope in scopes_of(service)] for scope in KeyScope}
    assert explained == {scope: who[0] if len(who) == 1 else "all three" for scope, who in owners.items()}
