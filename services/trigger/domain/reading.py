"""Reading a program from YAML or JSON: bounded, and errors say where and what would be right."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

import yaml
from pydantic import ValidationError
from pydantic_core import from_json

from services.trigger.domain.programs import ProgramDocument

MAX_DOCUMENT = 100_000


class InvalidProgram(ValueError):
    """Not a program; each problem is (where, what)."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {what}" for where, what in problems))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core types: `no` is a word, and so is 21:00. No aliases: ten lines of them could fill the memory."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML wants it on the class

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", None)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|", ["~", "n", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_program(text: bytes) -> ProgramDocument:
    """Read a document, YAML or JSON; raises InvalidProgram."""
    if len(text) > MAX_DOCUMENT:
        raise InvalidProgram([("document", f"{len(text)} bytes, at most {MAX_DOCUMENT} are taken")])
    document = load_yaml(text)
    if not isinstance(document, dict):
        raise InvalidProgram([("document", "fields with their values are wanted, such as id: after-purchase")])
    try:
        return ProgramDocument.model_validate(document)
    except ValidationError as error:
        raise InvalidProgram([place_of(e["loc"], e["msg"]) for e in error.errors(include_url=False)][:20]) from None


def load_yaml(text: bytes) -> object:
    """Read YAML or JSON, whatever it says; raises InvalidProgram."""
    if text.lstrip().startswith(b"{"):
        with contextlib.suppress(ValueError):  # then it is YAML in braces
            return from_json(text, allow_inf_nan=False)
    try:
        return yaml.load(text.decode(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "document"
        raise InvalidProgram([(line, error.problem or "cannot be read as YAML")]) from None
    except (yaml.YAMLError, ValueError):
        raise InvalidProgram([("document", "cannot be read as YAML")]) from None
    except RecursionError:
        raise InvalidProgram([("document", "nested too deeply")]) from None


def place_of(path: tuple[int | str, ...], what: str) -> tuple[str, str]:
    where = ".".join(str(part) for part in path if not str(part).startswith("<"))
    return where.encode(errors="replace").decode() or "document", what.removeprefix("Value error, ")
