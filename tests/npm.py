"""Packages of Node that tests and benchmarks run: installed once from a lock, without scripts."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path


class NotHere(Exception):
    """A program of Node cannot be run here; the text says why."""


async def install(sources: Path, folder: Path) -> None:
    """Copy a folder with a lock and install what it names there; raises NotHere."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotHere(f"{program} is not installed")
    lock = folder / "package-lock.json"
    if lock.exists() and lock.read_bytes() == (sources / lock.name).read_bytes():
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sources, folder)
    command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    npm = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=PIPE)
    _, error = await npm.communicate()
    if npm.returncode:
        lock.unlink()
        raise NotHere(f"npm failed: {error.decode().strip()}")
