"""Small changes of a source file, each of which a test should detect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SQL = re.compile(r"\b(SELECT|UPDATE|DELETE|INSERT|WHERE)\b")
_IN_SQL = (
    (re.compile(r"\bWHERE "), "WHERE true OR "),
    (re.compile(r"\bAND "), "OR "),
    (re.compile(r" <= "), " < "),
    (re.compile(r" >= "), " > "),
    (re.compile(r" < "), " <= "),
    (re.compile(r" > "), " >= "),
    (re.compile(r"(?<=ORDER BY )([\w.]+)(?! DESC)"), r"\1 DESC"),
)

SHOWN = 100


class Mutant(NamedTuple):
    """A source file with one change."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Yield the file with one change after another."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field, value in _changes(node):
            before, was = ast.unparse(node), getattr(node, field)
            setattr(node, field, value)
            yield Mutant(getattr(node, "lineno", 0), _shown(before, ast.unparse(node)), ast.unparse(tree))
            setattr(node, field, was)


def _shown(before: str, after: str) -> str:
    """Return the change as text; of a long statement only the part around it."""
    same = next((place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    start = max(same - 30, 0) if len(before) > SHOWN else 0
    return f"{before[start : start + SHOWN]} → {after[start : start + SHOWN]}"


def _changes(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a node that can be changed, each with another value."""
    match node:
        case ast.Compare(ops=ops):
            for place, operator in enumerate(ops):
                for other in _COMPARISONS[type(operator)]:
                    yield "ops", [*ops[:place], other(), *ops[place + 1 :]]
        case ast.BoolOp(op=operator):
            yield "op", ast.Or() if isinstance(operator, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "operand", ast.UnaryOp(ast.Not(), operand)
        case ast.Call(func=ast.Name(id="min" | "max")):
            return  # the order of arguments does not matter
        case ast.Call(args=[first, second, *rest]) if ast.dump(first) != ast.dump(second):
            yield "args", [second, first, *rest]
        case ast.Name(id=name) if name in _OTHER_NAME:
            yield "id", _OTHER_NAME[name]
        case ast.Constant(value=value):
            yield from (("value", other) for other in _other_values(value))


def _other_values(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
        yield value - 1
    elif isinstance(value, str) and _SQL.search(value):
        for pattern, other in _IN_SQL:
            for found in pattern.finditer(value):
                yield value[: found.start()] + found.expand(other) + value[found.end() :]
