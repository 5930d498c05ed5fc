"""Who is at the call desk."""

from __future__ import annotations

import hashlib
from typing import Self
from uuid import UUID, uuid5

from msgspec import Struct


class Operator(Struct, frozen=True):
    """Who makes a call or made it: a person of the staff, or somebody whom a program names.

    The id is that of the person's account, or made of the program's id and the name. The name says only how they are
    called: it may change, and another may get it. `without_account` is the id that revision 0029 gives to
    rows of this name, written without an id, that fit no person: a program's operator owns those as well.
    """

    id: UUID
    name: str
    without_account: UUID | None = None

    @classmethod
    def named(cls, name: str, *, by: UUID) -> Self:
        """Return the operator whom a program names."""
        return cls(uuid5(by, name), name, id_without_account(name))

    @property
    def ids(self) -> list[UUID]:
        """The ids of rows that belong to the operator; new rows get the first one."""
        return [self.id] if self.without_account is None else [self.id, self.without_account]

    def is_(self, other: Operator | None) -> bool:
        return other is not None and other.id in self.ids


def id_without_account(name: str) -> UUID:
    """Return the id of an operator of whom only the name is known; revision 0029 computes the same in SQL."""
    return UUID(bytes=hashlib.sha256(name.encode()).digest()[:16])
