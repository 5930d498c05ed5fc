"""Where data of customers went from scoring, and the confirmation of an erasure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from services.scoring.repository import customers
from shared.contract.events import ErasureConfirmed, RespondentErased
from shared.contract.vocabulary import ErasedAt, Service
from shared.database.db import Row
from shared.database.session import Session
from shared.languages.current import ngettext
from shared.web.customers.held_data import Place, confirmation


def places(webhooks: Sequence[Row]) -> Iterator[Place]:
    """Return the places of what `customers.webhooks` returns."""
    for row in webhooks:
        told = ErasedAt.TOLD if RespondentErased.type in row["types"] else ErasedAt.NOT_TOLD
        what = ngettext("%(num)s event by webhook", "%(num)s events by webhook", row["events"])
        yield Place(urlsplit(row["url"]).netloc, what, told)


async def confirm_erasure(session: Session, respondent: str) -> ErasureConfirmed:
    """Return the event that tells of an erasure, before it is done."""
    return confirmation(Service.SCORING, respondent, places(await customers.webhooks(session, [respondent])))
