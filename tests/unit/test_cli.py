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
    assert loaded <= {"annotated_doc", "deploy", "dotenv", "rich", "shellingham", "typer", *of_rich}


def test_misspelt_command_is_answered_with_the_right_one() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "expor"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "Did you mean 'export'?" in said.stderr
