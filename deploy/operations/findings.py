"""What `earshot doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    state: State
    text: str
    cure: str = ""


def ok(text: str) -> Finding:
    return Finding(State.OK, text)


def note(text: str, cure: str = "") -> Finding:
    return Finding(State.NOTE, text, cure)


def fail(text: str, cure: str) -> Finding:
    return Finding(State.FAIL, text, cure)
