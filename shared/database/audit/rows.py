"""Rows of the audit log, and the hash that chains each to the row before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import msgspec

FIRST_HASH = bytes(32)  # the hash before row 1
COLUMNS = "number, at, stage, of, actor_kind, actor, action, subject, customer, details, status, hash"
_JSON = msgspec.json.Encoder(order="sorted")

Detail: TypeAlias = "str | int | bool | Sequence[Detail] | Mapping[str, Detail] | None"


class Stage(StrEnum):
    ASKED = "asked"  # before the work begins
    ENDED = "ended"  # after it
    REFUSED = "refused"  # the work did not begin


class ActorKind(StrEnum):
    PERSON = "person"  # the id of a person who may log in
    KEY = "key"  # the id of an API key
    COMMAND = "command"  # the name of the user of the operating system
    PROGRAM = "program"  # the id in a ticket that a program signed itself
    NOBODY = "nobody"  # not known


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    id: str = ""


NOBODY = Actor(ActorKind.NOBODY)


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to append. `respondent` is a respondent's id, in place of which the row gets a random one."""

    stage: Stage
    actor: Actor
    action: str
    subject: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)
    status: int | None = None
    of: int | None = None
    respondent: str | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    number: int
    at: datetime
    stage: str
    of: int | None
    actor_kind: str
    actor: str
    action: str
    subject: str | None
    customer: UUID | None
    details: str
    status: int | None
    hash: bytes


def details_text(details: Mapping[str, Detail]) -> str:
    return _JSON.encode(details).decode()


def row_hash(before: bytes, values: Sequence[object]) -> bytes:
    """Hash the values of all columns but the hash, in the order of `COLUMNS`, after the hash of the row before.

    SHA-256 of that hash and of the values as a JSON array; the time is in UTC with six digits of a second.
    """
    number, at, *rest = values
    assert isinstance(at, datetime)
    return hashlib.sha256(
        before + _JSON.encode([number, f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", *rest])
    ).digest()
