"""Sizes of functions, files and folders, and a drawn sample for a reader: `python -m tests.house [--seed N]`.

With a seed it prints ten functions without their places, to be found from folder names alone, and twenty docstrings, to
be read without a question; the places stand at the end.
"""

from __future__ import annotations

import argparse
import ast
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).parents[1]
ROOMS = ("services", "shared", "deploy")
CONTRACT = ROOT / "shared/contract/events.py"
FUNCTIONS, DOCSTRINGS = 10, 20

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lines of functions (median, ninth decile), of the longest file but the contract; files of the widest folder."""

    function_median: float
    function_p90: float
    longest_file: tuple[int, str]
    widest_folder: tuple[int, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function or docstring stands."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def files() -> list[Path]:
    """List the Python files of the product without its migrations."""
    found = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return sorted(path for path in found if not {"versions", "__pycache__"} & set(path.parts))


def sizes() -> Sizes:
    """Measure the tree; a function counts from its `def` to its last line."""
    paths = files()
    lengths = [each.end_lineno - each.lineno + 1 for path in paths for each in _functions(path) if each.end_lineno]
    tenths = quantiles(lengths, n=10)
    folders = Counter(path.parent for path in paths if path.name != "__init__.py")
    longest = max((path for path in paths if path != CONTRACT), key=_lines)
    widest, count = folders.most_common(1)[0]
    return Sizes(tenths[4], tenths[8], (_lines(longest), _name(longest)), (count, _name(widest)))


def top_rooms(service: str) -> list[str]:
    """List the modules and packages at the top of a service; folders of data such as templates are none."""
    top = ROOT / "services" / service
    modules = {path.name for path in top.glob("*.py")} - {"__init__.py"}
    return sorted(modules | {path.parent.name for path in top.glob("*/*.py")})


def draw(seed: int) -> tuple[list[Place], list[Place]]:
    """Draw ten functions of two statements or more, and twenty docstrings of functions and classes."""
    paths, chance = files(), random.Random(seed)
    functions = [place for path in paths for place in _drawable(path)]
    docstrings = [place for path in paths for place in _docstrings(path)]
    return chance.sample(functions, FUNCTIONS), chance.sample(docstrings, DOCSTRINGS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the sizes; with `--seed` also what was drawn, and last where it stands."""
    parser = argparse.ArgumentParser(description="Sizes of the tree, and a sample of it to read.")
    parser.add_argument("--seed", type=int)
    seed = parser.parse_args(arguments).seed
    print("\n".join(_report(seed)))  # noqa: T201 - a report


def _report(seed: int | None) -> Iterator[str]:
    yield str(sizes())
    if seed is not None:
        functions, docstrings = draw(seed)
        for title, places in (("Function", functions), ("Docstring", docstrings)):
            for number, place in enumerate(places, 1):
                yield f"\n--- {title} {number}\n{place.text}"
        yield "\n--- Places"
        yield from map(str, [*functions, *docstrings])


def _functions(path: Path) -> Iterator[Function]:
    tree = ast.parse(path.read_text())
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _docstrings(path: Path) -> Iterator[Place]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function | ast.ClassDef) and (text := ast.get_docstring(node)):
            yield Place(path, node.lineno, f"{_signature(node)}\n    {text}")


def _signature(node: Function | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {node.name}({ast.unparse(node.args)}){returns}"


def _drawable(path: Path) -> Iterator[Place]:
    """Yield the functions of two statements or more, a method below the name of its class."""
    tree = ast.parse(path.read_text())
    classes = {id(each): node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in node.body}
    for node in ast.walk(tree):
        if isinstance(node, Function) and len(node.body) > 1:
            head = f"class {classes[id(node)]}:\n" if id(node) in classes else ""
            yield Place(path, node.lineno, head + ast.unparse(node))


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
