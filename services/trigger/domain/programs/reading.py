"""Reading a program from YAML or JSON: bounded, and errors say where and what would be right."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from services.trigger.domain.programs.document import ProgramDocument

MAX_DOCUMENT = 100_000
WANTED = "fields with their values are wanted"


class Mistake(NamedTuple):
    """`where` is a path such as plan.0.channel; the line is None where the text is no YAML."""

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{f'line {self.line}: ' if self.line else ''}{self.where}: {self.what}"


class InvalidProgram(ValueError):
    """Not a program; every mistake that was found, 20 at most."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


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
        raise InvalidProgram([Mistake("document", f"{len(text)} bytes, at most {MAX_DOCUMENT} are taken")])
    document = load_yaml(text)
    if not isinstance(document, dict):
        raise InvalidProgram([Mistake("document", f"{WANTED}, such as id: after-purchase")])
    try:
        return ProgramDocument.model_validate(document)
    except ValidationError as error:
        raise InvalidProgram(mistakes_in(text, error, of=ProgramDocument, manual="docs/programs.md")) from None


def mistakes_in(text: bytes, error: ValidationError, *, of: type[BaseModel], manual: str) -> list[Mistake]:
    """Say what is wrong with a document, YAML or JSON, in its order; `manual` is where its fields are described."""
    tree = _tree(text)
    errors = [e for e in error.errors(include_url=False) if e["type"] != "default_factory_not_called"][:20]
    mistakes = [_mistake(e["loc"], _said(e, of, manual), tree) for e in errors]
    return sorted(mistakes, key=lambda mistake: mistake.line or math.inf)  # what is missing comes last


def _said(error: ErrorDetails, of: type[BaseModel], manual: str) -> str:
    match error["type"]:
        case "extra_forbidden":
            meant = (
                get_close_matches(str(error["loc"][-1]), of.model_fields, cutoff=0.8) if len(error["loc"]) == 1 else []
            )
            return f"no such field; did you mean {meant[0]}?" if meant else f"no such field; {manual} lists them all"
        case "model_type" | "dict_type":
            return WANTED
    return error["msg"]


def load_yaml(text: bytes) -> object:
    """Read YAML or JSON, whatever it says; raises InvalidProgram."""
    if text.lstrip().startswith(b"{"):
        with contextlib.suppress(ValueError):  # then it is YAML in braces
            return from_json(text, allow_inf_nan=False)
    try:
        return yaml.load(text.decode(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InvalidProgram([Mistake("document", error.problem or "cannot be read as YAML", line)]) from None
    except (yaml.YAMLError, ValueError):
        raise InvalidProgram([Mistake("document", "cannot be read as YAML")]) from None
    except RecursionError:
        raise InvalidProgram([Mistake("document", "nested too deeply")]) from None


def _tree(text: bytes) -> yaml.Node | None:
    """Read the document again, as nodes that know their lines; JSON is YAML too, but for a few odd escapes."""
    try:
        return yaml.compose(text.decode(), Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _mistake(path: Sequence[int | str], what: str, tree: yaml.Node | None) -> Mistake:
    """Say where and what in a writer's words: pydantic's path and message, and the document's nodes."""
    named = [part for part in path if not str(part).startswith("<")]
    where = ".".join(map(str, named)).encode(errors="replace").decode() or "document"
    what = what.removeprefix("Value error, ")
    if not named and (field := re.match(r"([a-z_]+): ", what)):  # a rule over several fields says which it is about
        where, what, named = field[1], what[field.end() :], [field[1]]
    return Mistake(where, what, _line(named, tree))


def _line(path: Sequence[int | str], node: yaml.Node | None) -> int | None:
    """Find the line of the deepest part of the path that is there."""
    line = None
    for part in path:
        found = _child(node, part)
        if found is None:
            break
        key, node = found
        line = key.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    match node:
        case yaml.MappingNode():
            return next(((key, value) for key, value in node.value if key.value == str(part)), None)
        case yaml.SequenceNode() if isinstance(part, int) and part < len(node.value):
            return node.value[part], node.value[part]
    return None
