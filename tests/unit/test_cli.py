"""The command line without its commands: what it says of them, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from deploy.cli import COMMANDS, app, load_command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_begins_with_what_the_list_says(name: str) -> None:
    listed = typer.main.get_group(app).commands[name]
    written = " ".join(str(load_command(name).help).split())
    assert listed.help
    assert written.startswith(listed.help)


def test_help_loads_no_service_and_no_large_library() -> None:
    code = """
import sys
from deploy.cli import app
try:
    app(["--help"])
except SystemExit:
    print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names), sep="\\n")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {line for line in ran.stdout.splitlines() if line.isidentifier() and not line.startswith("_")}
    of_rich = {"attr", "markdown_it", "mdurl", "pygments"}
    assert loaded <= {"annotated_doc", "deploy", "dotenv", "rich", "shared", "shellingham", "typer", *of_rich}


SERVING = {"demo", "replay", "webhooks"}  # they run a service, or call its routes
SELDOM_USED = {"fastapi", "uvicorn", "alembic", "jinja2", "cryptography", "holidays", "aiokafka"}
WITHOUT_SERVICES = {"migrate", "parked", "run", "schemas", "topics"}  # until it is known that they are needed


@pytest.mark.parametrize("module", sorted({module for name, module in COMMANDS.items() if name not in SERVING}))
def test_command_that_serves_nothing_loads_no_library_that_it_seldom_uses(module: str) -> None:
    assert not _loaded(f"import {module}") & SELDOM_USED


@pytest.mark.parametrize("name", sorted(WITHOUT_SERVICES))
def test_command_of_no_single_service_loads_none(name: str) -> None:
    assert "services" not in _loaded(f"import {COMMANDS[name]}")


def test_common_settings_are_checked_without_loading_a_service() -> None:
    program = """
from deploy.setting_names import unknown_settings
assert unknown_settings({"EARSHOT_DATA_DIR": "x", "EARSHOT_DATABASE_URL": "y", "PATH": "z"}) == []
"""
    assert "services" not in _loaded(program)


def _loaded(program: str) -> set[str]:
    """Run a program in a process of its own and return the names of the packages that it loaded."""
    code = f'import sys\n{program}\nprint(*{{name.partition(".")[0] for name in sys.modules}}, sep="\\n")'
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_misspelt_command_is_answered_with_the_right_one() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "expor"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "Did you mean 'export'?" in said.stderr
