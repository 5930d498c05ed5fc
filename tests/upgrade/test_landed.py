"""Migrations on main are never edited: `landed.sha256` has the hash of each file, and a new file adds its line."""

import ast
import hashlib
import sys
from pathlib import Path

import pytest

from deploy.databases import MIGRATIONS, ROOT

LANDED = Path(__file__).parent / "landed.sha256"
FILES = sorted(path for folder in MIGRATIONS.values() for path in (folder / "versions").glob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
FROZEN = {"alembic", "sqlalchemy"} | sys.stdlib_module_names


def _landed() -> dict[str, str]:
    """Return the hash of each path; the file has the format of sha256sum."""
    return {name: digest for digest, name in (line.split("  ") for line in LANDED.read_text().splitlines())}


def test_every_migration_has_its_line() -> None:
    assert sorted(_landed()) == sorted(NAMES), "add the line with: sha256sum FILE >> tests/upgrade/landed.sha256"


@pytest.mark.parametrize("name", NAMES)
def test_a_landed_migration_was_not_edited(name: str) -> None:
    digest = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
    assert _landed()[name] == digest, "databases have already run this file: write a new migration"


@pytest.mark.parametrize("name", NAMES)
def test_a_migration_imports_nothing_whose_meaning_may_change(name: str) -> None:
    imported = {module.split(".")[0] for module in _imports(ast.parse((ROOT / name).read_text()))}
    assert imported <= FROZEN


@pytest.mark.parametrize("name", NAMES)
def test_a_migration_names_the_oldest_code_that_works_on_it(name: str) -> None:
    written = _written(ROOT / name)
    assert Path(name).name.startswith(f"{written['revision']}_")
    assert written["oldest_reader"] <= written["revision"]


@pytest.mark.parametrize("folder", MIGRATIONS.values(), ids=MIGRATIONS)
def test_the_oldest_code_never_becomes_older_again(folder: Path) -> None:
    oldest = [_written(path)["oldest_reader"] for path in FILES if path.parent.parent == folder]
    assert oldest == sorted(oldest)


def _written(path: Path) -> dict[str, str]:
    return {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("revision", "oldest_reader")
    }


def _imports(tree: ast.AST) -> list[str]:
    plain = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    named = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return plain + ["." * node.level + (node.module or "") for node in named]
