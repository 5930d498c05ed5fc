"""Rules of mappings: a field is taken from a path, a text with paths in it, a constant, a list, or alternatives.

Null and empty text count as missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, field_validator

from services.trigger.domain.sources.transforms import CannotTransform, Transform, compile_transforms, unknown_transform

Getter = Callable[[Any], Any]

DECIDING = frozenset({"id", "time", "customer.id", "order.id", "service.id"})  # without them there is no event

_EXACT = 2**53  # whole numbers below it are exact as floats
_NAMED = re.compile(r"\{([^{}]+)\}")
_Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Unmappable(ValueError):
    """A document cannot be mapped. The text names the field and the reason, and quotes no value of the document."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why = field, why


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Constant(_Rule):
    const: str | bool | int | float


class PathRule(_Rule):
    """Takes the value at `path` in the document (`order.id`), or fills in a text that contains such paths in braces."""

    path: _Text
    transform: Annotated[list[Transform], Field(max_length=10)] = []
    default: str | bool | int | float | None = None

    @field_validator("transform", mode="before")
    @classmethod
    def _single_to_list(cls, given: object) -> object:
        return given if isinstance(given, list) else [given]

    @field_validator("transform")
    @classmethod
    def _known_transforms(cls, given: list[Transform]) -> list[Transform]:
        for one in given:
            if (problem := unknown_transform(one)) is not None:
                raise ValueError(problem)
        return given


class CustomerOf(_Rule):
    """Takes the customer from an earlier event of the same source; `customer_of` gives the id of that event.

    For documents that contain an order id but no customer.
    """

    customer_of: _Text


class Each(_Rule):
    """A list made from a list: each element has these `fields`."""

    each: _Text
    fields: Annotated[dict[str, ValueRule], Field(min_length=1, max_length=20)]


def _kind(given: object) -> str:
    match given:
        case {"const": _} | Constant():
            return "<const>"
        case {"each": _} | Each():
            return "<each>"
        case {"customer_of": _} | CustomerOf():
            return "<customer of>"
        case str():
            return "<path>"
        case list():
            return "<first of>"
    return "<rule>"


_Single = Annotated[
    Annotated[_Text, Tag("<path>")] | Annotated[Constant, Tag("<const>")] | Annotated[PathRule, Tag("<rule>")],
    Discriminator(_kind),
]
_Alternatives = Annotated[list[_Single], Field(min_length=1, max_length=10)]
ValueRule = Annotated[
    Annotated[_Text, Tag("<path>")]
    | Annotated[Constant, Tag("<const>")]
    | Annotated[PathRule, Tag("<rule>")]
    | Annotated[_Alternatives, Tag("<first of>")],
    Discriminator(_kind),
]
Rule = Annotated[
    Annotated[_Text, Tag("<path>")]
    | Annotated[Constant, Tag("<const>")]
    | Annotated[PathRule, Tag("<rule>")]
    | Annotated[_Alternatives, Tag("<first of>")]
    | Annotated[Each, Tag("<each>")]
    | Annotated[CustomerOf, Tag("<customer of>")],
    Discriminator(_kind),
]
Each.model_rebuild()


def describe(rule: Any) -> str:
    """Name the paths of a rule for error texts."""
    match rule:
        case Constant():
            return "a constant"
        case PathRule(path=path) | Each(each=path) | CustomerOf(customer_of=path):
            return describe(path)
        case list():
            return " or ".join(map(describe, rule))
    return " and ".join(_NAMED.findall(rule)) or str(rule)


def compile_rule(target: str, rule: Any) -> Getter:
    """Return a function that returns the value of a target in a document, or None; it raises Unmappable."""
    match rule:
        case Constant(const=value):
            return lambda _found: value
        case list():
            return _first_of(target, [compile_rule(target, one) for one in rule])
        case Each():
            return _list_of(target, rule)
        case PathRule():
            return _compile_path(target, rule)
        case CustomerOf(customer_of=text):
            return _path_or_template(text)
    return _as_id(target, _path_or_template(rule))


def _compile_path(target: str, rule: PathRule) -> Getter:
    get, change = _path_or_template(rule.path), compile_transforms(rule.transform)

    def transformed(found: Any) -> Any:
        value = get(found)
        if value is None:
            return rule.default
        try:
            changed = change(value)
        except CannotTransform as error:
            raise Unmappable(target, f"{error} (from {describe(rule)})") from None
        return rule.default if changed is None or changed == "" else changed

    return _as_id(target, transformed)


def _is_id(target: str) -> bool:
    return target.rpartition(".")[2] == "id"


def _as_id(target: str, get: Getter) -> Getter:
    """Convert ids that are whole numbers to text, also those that a spreadsheet or a script wrote as 7.0."""
    if not _is_id(target):
        return get

    def as_text(found: Any) -> Any:
        value = get(found)
        if type(value) is float and value.is_integer() and abs(value) < _EXACT:
            value = int(value)
        return str(value) if type(value) is int else value

    return as_text


def _first_of(target: str, getters: Sequence[Getter]) -> Getter:
    """Return the first value there is; one that cannot be read is passed over, except in an id."""
    if _is_id(target):
        return lambda found: next((value for get in getters if (value := get(found)) is not None), None)

    def first(found: Any) -> Any:
        problem: Unmappable | None = None
        for get in getters:
            try:
                if (value := get(found)) is not None:
                    return value
            except Unmappable as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return None

    return first


def _list_of(target: str, rule: Each) -> Getter:
    get = path_of(rule.each)
    fields = {name: compile_rule(f"{target}.{name}", one) for name, one in rule.fields.items()}

    def listed(found: Any) -> list[dict[str, Any]] | None:
        items = get(found)
        if items is None:
            return None
        if not isinstance(items, list):
            raise Unmappable(target, f"expected a list (from {rule.each})")
        return [{name: value for name, one in fields.items() if (value := one(item)) is not None} for item in items]

    return listed


def _path_or_template(text: str) -> Getter:
    return _template(text) if "{" in text else path_of(text)


def _template(template: str) -> Getter:
    """Return a function that inserts the values of paths into a text; it returns None if one of them is missing."""
    pieces = _NAMED.split(template)
    getters = [path_of(path) for path in pieces[1::2]]

    def filled(found: Any) -> str | None:
        values = [get(found) for get in getters]
        if any(value is None or isinstance(value, dict | list) for value in values):
            return None
        texts = [pieces[0]]
        for value, after in zip(values, pieces[2::2], strict=True):
            texts += [str(value), after]
        return "".join(texts)

    return filled


def path_of(path: str) -> Getter:
    """Return a function that follows a dotted path; a number is an index of a list."""
    names = path.split(".")
    if path.startswith("$headers."):
        names = ["$headers", path.removeprefix("$headers.").lower()]  # the name of a header may contain dots

    def follow(found: Any) -> Any:
        for name in names:
            if isinstance(found, dict):
                found = found.get(name)
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return None if found == "" else found

    return follow
