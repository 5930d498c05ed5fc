"""What dispatcher holds about a customer, for the page of a customer and the export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.repository import customers
from shared.contract.events import ErasureConfirmed
from shared.contract.vocabulary import ChannelKind, Service
from shared.database.db import Row
from shared.web.customers.held_data import Entry, HeldData, Place, confirmation

_COUNTED = 1000  # rows of each kind, to say where data went
_CHANNELS: Mapping[str, str] = {
    ChannelKind.EMAIL.value: "E-mail",
    ChannelKind.SMS.value: "SMS",
    ChannelKind.CALL.value: "Call",
    ChannelKind.LINK.value: "Link",
}


async def read_held(session: AsyncSession, ids: Sequence[str], most: int | None) -> HeldData:
    """Read what dispatcher holds about respondents."""
    rows = await customers.read(session, ids, most=most)
    return HeldData(entries=list(_entries(rows)), places=list(_places(rows)))


def _entries(rows: Mapping[str, Sequence[Row]]) -> Iterator[Entry]:
    for row in rows["invitations"]:
        path = f"/invitations/{row['id']}"
        yield Entry(row["created_at"], "survey", f"Survey of {row['program']} began", dict(row), path)
        if row["closed_at"] is not None:
            yield Entry(row["closed_at"], "survey", f"Survey of {row['program']} ended: {row['outcome']}", {}, path)
    for row in rows["attempts"]:
        yield Entry(row["at"], "contact", _attempt(row), dict(row), f"/invitations/{row['invitation_id']}")
    for row in rows["messages"]:
        text = f"{_channel(row)} to {row['recipient']} was kept in the mailbox instead of being sent"
        yield Entry(row["at"], "message", text, dict(row))
    for row in rows["replies"]:
        yield Entry(row["at"], "reply", f"{_channel(row)} from {row['sender']}: {row['text']}", dict(row))
    for row in rows["suppressions"]:
        what = f" by {_channel(row)}" if row["channel"] else ""
        until = f" until {row['until']:%d %b %Y}" if row["until"] else ""
        yield Entry(row["at"], "suppression", f"Not contacted{what}{until}: {_words(row['reason'])}", dict(row))


def _attempt(row: Row) -> str:
    reason = f", {_words(row['reason'])}" if row["reason"] else ""
    return f"{_channel(row)}, step {row['step']}: {_words(row['state'])}{reason} ({row['provider']})"


def _places(rows: Mapping[str, Sequence[Row]]) -> Iterator[Place]:
    messages = [row for row in rows["attempts"] if row["channel"] != ChannelKind.CALL]
    for provider, count in Counter(row["provider"] for row in messages if row["provider"] != SendMode.MAILBOX).items():
        yield Place(provider, f"{count} attempts with the address", "nothing: it keeps what its own rules say")
    if tasks := [row["number"] for row in rows["crm_tasks"]]:
        yield Place("CRM, tasks", f"calls as tasks {', '.join(tasks)}", "open tasks are closed, and stay in the CRM")
    if written := [f"{row['entity']} {row['entity_id']}" for row in rows["crm_fields"] if row["written"]]:
        yield Place("CRM, fields", f"the score at {', '.join(written)}", "the fields are emptied")


async def confirm_erasure(session: AsyncSession, respondent: str) -> ErasureConfirmed:
    """Return the event that tells of an erasure, before it is done."""
    held = await read_held(session, [respondent], _COUNTED)
    return confirmation(Service.DISPATCHER, respondent, held)


def _channel(row: Row) -> str:
    return _CHANNELS[row["channel"]]


def _words(code: str) -> str:
    return code.replace("_", " ")
