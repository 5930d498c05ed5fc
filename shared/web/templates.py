"""Jinja templates of a folder, with the settings that all pages and mails share."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def template_environment(folder: Path, *, lstrip_blocks: bool = False) -> Environment:
    """Make an environment for the templates of a folder.

    Values are escaped in `.html` templates only, and an undefined name raises jinja2.UndefinedError.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=lstrip_blocks,
        auto_reload=False,
    )
