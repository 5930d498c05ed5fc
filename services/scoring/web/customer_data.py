"""What scoring holds about a customer, for the page of a customer and the export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from services.scoring.repository import customers
from shared.contract.events import ErasureConfirmed, RespondentErased
from shared.contract.vocabulary import Service
from shared.database.db import Row
from shared.web.customers.held_data import Entry, Fact, HeldData, Place, confirmation

_COUNTED = 1000  # rows of each kind, to say where data went


async def read_held(session: AsyncSession, ids: Sequence[str], most: int | None) -> HeldData:
    """Read what scoring holds about respondents."""
    rows = await customers.read(session, ids, most=most)
    return HeldData([_fact(row) for row in rows["invitations"]], list(_entries(rows)), list(_places(rows)))


async def confirm_erasure(session: AsyncSession, respondent: str) -> ErasureConfirmed:
    """Return the event that tells of an erasure, before it is done."""
    held = await read_held(session, [respondent], _COUNTED)
    return confirmation(Service.SCORING, respondent, held)


def _fact(row: Row) -> Fact:
    segments = ", ".join(f"{name} {value}" for name, value in row["segments"].items())
    lines = {"Name": row["name"], "Telephone": row["phone"], "Reported by": segments, "State": row["state"]}
    return Fact(f"Survey of {row['program']}", lines, dict(row))


def _entries(rows: Mapping[str, Sequence[Row]]) -> Iterator[Entry]:
    for row in (*rows["earlier_answers"], *rows["answers"]):
        yield Entry(row["answered_at"], "answer", _answer(row), dict(row))
    for row in rows["invitations"]:
        if row["opted_out_at"] is not None:
            yield Entry(row["opted_out_at"], "opt-out", f"Does not want to be asked by {row['program']} any more")
    for row in rows["page_views"]:
        who = "by a program, as a mail scanner" if row["automatic"] else "by a person"
        yield Entry(row["at"], "page", f"Page opened {who}, from step {row['step']}", dict(row))
    for row in rows["calls"]:
        what = "Call back" if row["kind"] == "callback" else "Call"
        outcome = f": {_words(row['outcome'])}" if row["outcome"] else ""
        yield Entry(row["due_at"], "call", f"{what} due, {row['state']}{outcome}", dict(row))
    for row in rows["call_attempts"]:
        yield Entry(row["at"], "call", f"Called by {row['operator']}: {_words(row['disposition'])}", dict(row))


def _answer(row: Row) -> str:
    comment = f", “{row['comment']}”" if row["comment"] else ""
    taken = f" · taken by {row['operator']}" if row["operator"] else ""
    version = "" if row["stands"] else f" · version {row['version']}, replaced"
    return f"{row['score']}{comment}{taken}{version}"


def _places(rows: Mapping[str, Sequence[Row]]) -> Iterator[Place]:
    for row in rows["webhooks"]:
        is_told = RespondentErased.type in row["types"]
        told = "is sent there" if is_told else "is not sent there: it is not among the types of this webhook"
        host = urlsplit(row["url"]).netloc
        yield Place(f"Webhook {host}", f"{row['events']} events", f"{RespondentErased.type} {told}")


def _words(code: str) -> str:
    return code.replace("_", " ")
