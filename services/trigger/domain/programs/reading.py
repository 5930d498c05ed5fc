"""Reads a program from YAML or JSON, of limited size; errors name the line, the field and the valid values."""

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
EXPECTED_FIELDS = "expected fields with their values"


class Mistake(NamedTuple):
    """`where` is a path such as plan.0.channel; `line` is None if it is not known."""

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{f'line {self.line}: ' if self.line else ''}{self.where}: {self.what}"


class InvalidProgram(ValueError):
    """The document is not valid; `mistakes` has at most 20."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


class _Loader(yaml.SafeLoader):
    """Reads the core types of YAML 1.2, so `no` and 21:00 are text; rejects aliases, which could fill the memory."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML wants it on the class

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", None)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|", ["~", "n", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_program(text: bytes) -> ProgramDocument:
    """Read a program document; raises InvalidProgram."""
    if len(text) > MAX_DOCUMENT:
        raise InvalidProgram([Mistake("document", f"{len(text)} bytes, at most {MAX_DOCUMENT} are allowed")])
    document = load_yaml(text)
    if not isinstance(document, dict):
        raise InvalidProgram([Mistake("document", f"{EXPECTED_FIELDS}, such as id: after-purchase")])
    try:
        return ProgramDocument.model_validate(document)
    except ValidationError as error:
        raise InvalidProgram(mistakes_in(text, error, of=ProgramDocument, manual="docs/programs.md")) from None


def mistakes_in(text: bytes, error: ValidationError, *, of: type[BaseModel], manual: str) -> list[Mistake]:
    """Return the mistakes of a document in the order of its lines; `manual` is the page that describes its fields."""
    tree = _tree(text)
    errors = [e for e in error.errors(include_url=False) if e["type"] != "default_factory_not_called"][:20]
    mistakes = [_mistake(e["loc"], _message(e, of, manual), tree) for e in errors]
    return sorted(
        mistakes, key=lambda mistake: mistake.line or math.inf
    )  # missing fields, which have no line, come last


def _message(error: ErrorDetails, of: type[BaseModel], manual: str) -> str:
    match error["type"]:
        case "extra_forbidden":
            close = (
                get_close_matches(str(error["loc"][-1]), of.model_fields, cutoff=0.8) if len(error["loc"]) == 1 else []
            )
            return f"no such field; did you mean {close[0]}?" if close else f"no such field; {manual} lists them all"
        case "model_type" | "dict_type":
            return EXPECTED_FIELDS
    return error["msg"]


def load_yaml(text: bytes) -> object:
    """Parse YAML or JSON of any content; raises InvalidProgram."""
    if text.lstrip().startswith(b"{"):
        with contextlib.suppress(ValueError):  # else it is YAML in braces
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
    """Parse the document to nodes that have line numbers; that works for nearly all JSON too."""
    try:
        return yaml.compose(text.decode(), Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _mistake(path: Sequence[int | str], what: str, tree: yaml.Node | None) -> Mistake:
    named = [part for part in path if not str(part).startswith("<")]
    where = ".".join(map(str, named)).encode(errors="replace").decode() or "document"
    what = what.removeprefix("Value error, ")
    if not named and (
        field := re.match(r"([a-z_]+): ", what)
    ):  # the message of a rule about several fields begins with one of them
        where, what, named = field[1], what[field.end() :], [field[1]]
    return Mistake(where, what, _line(named, tree))


def _line(path: Sequence[int | str], node: yaml.Node | None) -> int | None:
    """Return the line of the deepest node of the path that exists."""
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
