"""What became of the records of a file: one report for every command that reads files."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_REASONS = 100  # kept apart; the rest is counted as one
_OTHER = "other reasons"
_SHOWN = 10
_LINES = 5  # numbers of lines shown for each reason


@dataclass(slots=True)
class FileReport:
    """Counts the records of a file by their outcome; `known` are those that were stored before.

    `ignored` are records that were left out, `ignored_as` says why; `ignored_fields` are fields that were not used.
    """

    layout: str = ""
    read: int = 0
    stored: int = 0
    known: int = 0
    ignored: int = 0
    ignored_as: str = "by the mapping"
    refused: int = 0
    refused_before: int = 0  # in the earlier run that this run resumes
    resumed_at: int = 0
    reasons_refused: dict[str, list[int]] = field(default_factory=dict)
    counts_refused: Counter[str] = field(default_factory=Counter)
    ignored_fields: Counter[str] = field(default_factory=Counter)

    def refuse(self, refused: Iterable[tuple[int, str]]) -> None:
        """Count refused lines, each a number and a reason."""
        for line, reason in refused:
            self.refused += 1
            key = reason if reason in self.reasons_refused or len(self.reasons_refused) < _REASONS else _OTHER
            self.counts_refused[key] += 1
            lines = self.reasons_refused.setdefault(key, [])
            if len(lines) < _LINES:
                lines.append(line)

    def ignore_field(self, name: str, why: str = "") -> None:
        key = f"{name}: {why}" if why else name
        self.ignored_fields[key if key in self.ignored_fields or len(self.ignored_fields) < _REASONS else _OTHER] += 1

    def texts(self, summary: str, *, refusals: Path) -> list[str]:
        """Return the report as lines of text, what is zero left out; `refusals` is the file with the refused lines."""
        said = [f"resumed after line {self.resumed_at}"] if self.resumed_at else []
        said.append(summary)
        if self.stored or self.refused or self.ignored_fields:
            said.append(f"{_counted(self.read, 'record')} {self.layout}")
        if self.ignored:
            said.append(f"{_counted(self.ignored, 'record')} ignored {self.ignored_as}")
        if self.ignored_fields:
            said.append(f"fields ignored: {_named(self.ignored_fields)}")
        if self.refused:
            said.append(f"{_counted(self.refused, 'line')} refused, see {refusals}")
            said += [self._refused(reason, number) for reason, number in self.counts_refused.most_common(_SHOWN)]
        if self.refused_before:
            said.append(f"{_counted(self.refused_before, 'line')} refused before, see {refusals}")
        return said

    def _refused(self, reason: str, number: int) -> str:
        lines = ", ".join(map(str, self.reasons_refused[reason]))
        more = ", …" if number > len(self.reasons_refused[reason]) else ""
        return f"  {number} × {reason[:200]} (line {lines}{more})"  # noqa: RUF001 - a multiplication sign


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _named(fields: Mapping[str, int]) -> str:
    shown = [f"{name} ({number})" for name, number in Counter(fields).most_common(_SHOWN)]
    return ", ".join([*shown, *(["…"] if len(fields) > _SHOWN else [])])


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refused lines of a file with their reasons, in a CSV file beside it."""

    path: Path
    column: str = "reason"

    @classmethod
    def of(cls, file: Path, *, column: str = "reason") -> Refusals:
        return cls(file.with_name(f"{file.name}.refused.csv"), column)

    def add(self, refused: Sequence[tuple[int, str]]) -> None:
        """Append lines, each a number and a reason; the first ones make the file."""
        if not refused:
            return
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([*([("line", self.column)] if new else []), *refused])

    def count(self) -> int:
        if not self.path.exists():
            return 0
        with self.path.open(newline="", encoding="utf-8") as file:
            return sum(1 for _ in csv.reader(file)) - 1
