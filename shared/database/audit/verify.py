"""Recomputes the hash chain of the audit log, and compares it with anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.database import db
from shared.database.audit import anchors
from shared.database.audit.anchors import Anchor
from shared.database.audit.rows import COLUMNS, FIRST_HASH, row_hash
from shared.database.session import Session

PAGE = 10_000
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"  # rows appended or dropped meanwhile are not seen
_ROWS = f"SELECT {COLUMNS} FROM audit_log WHERE number > $1 ORDER BY number LIMIT {PAGE}"  # noqa: S608 - constants


class ChainBroken(Exception):
    """The log is not as it was written; the message names the first row at which that shows."""


@dataclass(slots=True)
class Verified:
    """The rows that were recomputed so far, and the anchors that rows are still to be compared with."""

    anchors: list[Anchor]
    rows: int = 0
    last: int = 0
    hash: bytes = FIRST_HASH  # of the last row
    compared: int = 0  # anchors
    _left: list[Anchor] = field(init=False)

    def __post_init__(self) -> None:
        self._left = list(reversed(self.anchors))

    def begin(self, first: int) -> None:
        """Go to the row before the first that is kept: an anchor has its hash."""
        while self._left and self._left[-1].number < first:
            anchor = self._left.pop()
            self.last, self.hash = anchor.number, anchor.hash

    def add(self, row: db.Row) -> None:
        """Check the next row; raises ChainBroken."""
        number, *_, stored = values = tuple(row)
        if number != self.last + 1:
            missing = (
                f"row {self.last + 1} is" if number == self.last + 2 else f"rows {self.last + 1} to {number - 1} are"
            )
            raise ChainBroken(f"{missing} missing")
        if row_hash(self.hash, values[:-1]) != stored:
            raise ChainBroken(f"row {number} was altered, or row {number - 1} together with its hash")
        self.rows, self.last, self.hash = self.rows + 1, number, stored
        if self._left and self._left[-1].number == number:
            self._compare(self._left.pop())

    def _compare(self, anchor: Anchor) -> None:
        if anchor.hash != self.hash:
            raise ChainBroken(f"rows up to {anchor.number} were rewritten: the anchor of {anchor.day} has another hash")
        self.compared += 1

    def end(self) -> None:
        if self._left:
            last = self._left[0]
            raise ChainBroken(f"rows {self.last + 1} to {last.number} are missing: the anchor of {last.day} has them")


async def verify(session: Session, outside: Sequence[Anchor] = ()) -> Verified:
    """Recompute the chain from the oldest kept row on, in a session that has read nothing yet; raises ChainBroken.

    `outside` are anchors that were kept outside the database.
    """
    await db.fetch(session, _SNAPSHOT)
    stored = await anchors.load_all(session)
    _compare_outside(stored, outside)
    found = Verified(list(stored))
    page = await db.fetch(session, _ROWS, 0)
    found.begin(page[0]["number"] if page else stored[-1].number + 1 if stored else 1)
    while page:
        for row in page:
            found.add(row)
        page = await db.fetch(session, _ROWS, found.last)
    found.end()
    return found


def _compare_outside(stored: Sequence[Anchor], outside: Sequence[Anchor]) -> None:
    by_day = {anchor.day: anchor for anchor in stored}
    for anchor in outside:
        known = by_day.get(anchor.day)
        if known is None:
            raise ChainBroken(f"the database has no anchor of {anchor.day}")
        if known.hash != anchor.hash:
            raise ChainBroken(f"the anchor of {anchor.day} in the database differs from the one that was given")
