"""A finding of `earshot doctor`: one line of text, and how to repair it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    OK = "ok"
    NOTE = "note"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    text: str
    cure: str = ""

    @classmethod
    def ok(cls, text: str) -> Self:
        return cls(Severity.OK, text)

    @classmethod
    def note(cls, text: str, cure: str = "") -> Self:
        """Report something worth knowing that need not be repaired."""
        return cls(Severity.NOTE, text, cure)

    @classmethod
    def fail(cls, text: str, cure: str) -> Self:
        """Report something that must be repaired; `earshot doctor` exits with 1."""
        return cls(Severity.FAIL, text, cure)
