"""Where data of customers went from dispatcher, and the confirmation of an erasure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.repository import customers
from shared.contract.events import ErasureConfirmed
from shared.contract.vocabulary import ChannelKind, ErasedAt, Service
from shared.database.db import Row
from shared.database.session import Session
from shared.languages.current import gettext, ngettext
from shared.web.customers.held_data import Place, confirmation

_COUNTED = 1000  # rows of each kind


def places(rows: Mapping[str, Sequence[Row]]) -> Iterator[Place]:
    """Return the places of what `customers.read` returns."""
    sent = [row for row in rows["attempts"] if row["channel"] != ChannelKind.CALL]
    for provider, count in Counter(row["provider"] for row in sent if row["provider"] != SendMode.MAILBOX).items():
        what = ngettext("%(num)s attempt with the address", "%(num)s attempts with the address", count)
        yield Place(provider, what, ErasedAt.NOTHING)
    if tasks := [row["number"] for row in rows["crm_tasks"]]:
        what = gettext("calls as tasks %(numbers)s", numbers=", ".join(tasks))
        yield Place("CRM", what, ErasedAt.CLOSED)
    if written := [f"{row['entity']} {row['entity_id']}" for row in rows["crm_fields"] if row["written"]]:
        what = gettext("the score at %(places)s", places=", ".join(written))
        yield Place("CRM", what, ErasedAt.EMPTIED)


async def confirm_erasure(session: Session, respondent: str) -> ErasureConfirmed:
    """Return the event that tells of an erasure, before it is done."""
    rows = await customers.read(session, [respondent], most=_COUNTED)
    return confirmation(Service.DISPATCHER, respondent, places(rows))
