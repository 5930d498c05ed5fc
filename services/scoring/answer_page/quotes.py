"""The form of the thanks page that asks whether a respondent's words may be quoted, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.scoring.answers import publishing
from services.scoring.answers.quote_consents import changed
from services.scoring.domain.comments.quotes import NamedBy, QuotedAnswer, first_name, has_quotable_words, name_of
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import invitations
from services.scoring.repository.comments import quotes
from services.scoring.web import texts
from shared.database.session import Session


class NothingToQuote(Exception):
    """A consent cannot be given: there is no comment that counts, or the survey is over."""


@dataclass(frozen=True, slots=True)
class QuoteForm:
    """What the form shows: `names` has the choices, none for anonymous answers; `said` and `wrong` name texts."""

    given: bool
    names: Mapping[str, str]
    by: str
    name: str
    said: str = ""
    wrong: str = ""


def form(invitation: Invitation, *, name: str | None, said: str = "") -> QuoteForm | None:
    """Return the form as it is stored, with the name of a consent; None if there is nothing to quote."""
    if not has_quotable_words(invitation):
        return None
    by = NamedBy.NOBODY if not name else NamedBy.FIRST if name == first_name(invitation) else NamedBy.OWN
    own = name if name and by is NamedBy.OWN else ""
    return QuoteForm(name is not None, _names(invitation), by, own, said=said)


def refused(invitation: Invitation, sent: Mapping[str, str]) -> QuoteForm:
    """Return the form as it was sent, with a name that is none."""
    return QuoteForm(True, _names(invitation), NamedBy.OWN, sent.get("name", ""), wrong="quote_wrong")


def _names(invitation: Invitation) -> dict[str, str]:
    if invitation.anonymous:
        return {}
    words, first = texts.words_of(invitation), first_name(invitation)
    with_first: dict[str, str] = {NamedBy.FIRST: words["quote_first"].format(name=first)} if first else {}
    return {NamedBy.NOBODY: words["quote_nobody"], **with_first, NamedBy.OWN: words["quote_own"]}


async def change(session: Session, invitation_id: UUID, sent: Mapping[str, str], *, at: datetime) -> None:
    """Give the consent, or withdraw it if the box is not ticked; raises NothingToQuote and InvalidQuoteName."""
    invitation = (await invitations.lock_and_load(session, [invitation_id])).get(invitation_id)
    answer = invitation.answer if invitation is not None else None
    before = await quotes.name(session, answer.answer_id) if answer else None
    name: str | None = None
    if "quote" in sent:
        if invitation is None or answer is None or at >= invitation.expires_at or not has_quotable_words(invitation):
            raise NothingToQuote
        name = name_of(sent, invitation)
        await quotes.put(session, answer.answer_id, name, wording=_wording(invitation), at=at)
    elif answer is not None:
        await quotes.withdraw(session, answer.answer_id, at=at)
    if invitation is not None and answer is not None and name != before:
        await publishing.publish(session, [changed(QuotedAnswer.of(invitation, answer), name, at=at)])


def _wording(invitation: Invitation) -> str:
    """Return the sentences by which the page asks for the consent."""
    words = texts.words_of(invitation)
    text = words["quote_text"].format(brand=invitation.content.brand.name)
    return f"{words['quote_title']} {text} {words['quote_yes']}"
