"""What dispatcher holds about a customer, for the page of a customer and the export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.handlers.customers import places
from services.dispatcher.pages.invitations import OUTCOMES, STATES, explained
from services.dispatcher.repository import customers
from shared.contract.suppression_words import REASONS
from shared.contract.vocabulary import AttemptState, ChannelKind
from shared.database.db import Row
from shared.database.session import Session
from shared.languages import formats
from shared.languages.current import gettext, lookup
from shared.languages.marking import mark
from shared.web.customers.held_data import Entry, HeldData, Kind

_CHANNELS: Mapping[str, str] = {
    ChannelKind.EMAIL.value: mark("E-mail"),
    ChannelKind.SMS.value: mark("SMS"),
    ChannelKind.CALL.value: mark("Call"),
    ChannelKind.LINK.value: mark("Link"),
}


async def read_held(session: Session, ids: Sequence[str], most: int | None) -> HeldData:
    """Read what dispatcher holds about respondents."""
    rows = await customers.read(session, ids, most=most)
    return HeldData(entries=list(_entries(rows)), places=list(places(rows)))


def _entries(rows: Mapping[str, Sequence[Row]]) -> Iterator[Entry]:
    for row in rows["invitations"]:
        path = f"/invitations/{row['id']}"
        program = row["program_title"] or row["program"]
        began = gettext("Survey of %(program)s began", program=program)
        yield Entry(row["send_at"], Kind.SURVEY, began, dict(row), path)
        if row["closed_at"] is not None:
            outcome = lookup(OUTCOMES[row["outcome"]])
            ended = gettext("Survey of %(program)s ended: %(outcome)s", program=program, outcome=outcome)
            yield Entry(row["closed_at"], Kind.SURVEY, ended, {"respondent_id": row["respondent_id"]}, path)
    for row in rows["attempts"]:
        if row["provider"] == SendMode.MAILBOX:
            continue  # the message that was kept says so
        yield Entry(row["at"], Kind.CONTACT, _attempt(row), dict(row), f"/invitations/{row['invitation_id']}")
    for row in rows["messages"]:
        kept = gettext("%(channel)s to %(recipient)s was kept in the mailbox instead of being sent", **_message(row))
        yield Entry(row["at"], Kind.MESSAGE, kept, dict(row))
    for row in rows["replies"]:
        yield Entry(row["at"], Kind.REPLY, f"{_channel(row)}, {row['sender']}: {row['text']}", dict(row))
    for row in rows["suppressions"]:
        yield Entry(row["at"], Kind.SUPPRESSION, _suppression(row), dict(row))


def _attempt(row: Row) -> str:
    where = gettext("%(channel)s, step %(step)s", channel=_channel(row), step=row["step"])
    reason = f", {explained(row['reason'])}" if row["reason"] else ""
    if row["channel"] == ChannelKind.CALL and row["state"] == AttemptState.SENT:
        return gettext("%(where)s: handed to the call desk", where=where)
    return f"{where}: {lookup(STATES[row['state']])}{reason} ({row['provider']})"


def _message(row: Row) -> Mapping[str, str]:
    return {"channel": _channel(row), "recipient": row["recipient"]}


def _suppression(row: Row) -> str:
    what = gettext("Not contacted: %(reason)s", reason=lookup(REASONS[row["reason"]]))
    limits = [_channel(row)] if row["channel"] else []
    limits += [gettext("until %(day)s", day=formats.day(row["until"]))] if row["until"] else []
    return f"{what} ({', '.join(limits)})" if limits else what


def _channel(row: Row) -> str:
    return lookup(_CHANNELS[row["channel"]])
