"""Who changed something last, and when, for the lists in which staff change things; it is read from the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.database import api_keys
from shared.database.audit import search
from shared.database.audit.rows import ActorKind
from shared.database.audit.search import RecordedAct
from shared.database.session import Session
from shared.languages.current import gettext
from shared.web.staff.tickets import signed_in

SHOWN = 5
Names = Callable[[Session], Awaitable[Mapping[str, str]]]


async def no_names(_session: Session) -> Mapping[str, str]:
    return {}


async def all_names(session: Session, names: Names) -> Mapping[str, str]:
    """Return how people and keys are called, by their ids."""
    keys = {str(key.id): key.name for key in await api_keys.load_all(session)}
    return {**keys, **await names(session)}


@dataclass(frozen=True, slots=True)
class LastAct:
    """An act in words: `what` was done, `by` whom; `about` is the respondent it was about, "" for an unknown one."""

    at: datetime
    by: str
    what: str
    subject: str
    about: str


async def last_acts(
    session: Session, subjects: Sequence[str], actions: Mapping[str, str], *, names: Names
) -> Mapping[str, LastAct]:
    """Return the newest act on each subject; `actions` are those that count, with what they do in words."""
    found = await search.last_of_each(session, subjects, list(actions))
    shown = await _in_words(session, list(found.values()), actions, names)
    return {act.subject: act for act in shown}


async def newest_acts(
    session: Session, actions: Mapping[str, str], *, names: Names, limit: int = SHOWN
) -> Sequence[LastAct]:
    """Return the newest acts of these, the newest first."""
    return await _in_words(session, await search.newest(session, list(actions), limit=limit), actions, names)


async def _in_words(
    session: Session, acts: Sequence[RecordedAct], actions: Mapping[str, str], names: Names
) -> list[LastAct]:
    known = await all_names(session, names) if acts else {}
    customers = [act.customer for act in acts if act.customer is not None]
    respondents = await search.respondents(session, customers) if customers else {}
    return [
        LastAct(
            act.at,
            _by(act, known),
            gettext(actions[act.action]),
            act.subject or "",
            "" if act.customer is None else respondents.get(act.customer, ""),
        )
        for act in acts
    ]


def _by(act: RecordedAct, names: Mapping[str, str]) -> str:
    """Say who did it, as well as is known here."""
    person, name = signed_in.get(), names.get(act.actor, "")
    if act.actor_kind == ActorKind.COMMAND:
        return gettext("from the command line by %(name)s", name=act.actor)
    if act.actor_kind == ActorKind.KEY:
        return gettext("with the API key %(name)s", name=name) if name else gettext("with an API key")
    if act.actor_kind != ActorKind.PERSON:
        return gettext("by software")
    if person is not None and act.actor == str(person.person):
        return gettext("by you")
    return gettext("by %(name)s", name=name) if name else gettext("by a colleague")
