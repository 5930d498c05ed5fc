"""What the request or command that this task works for is, for the audit log; its handler may say more about it."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from shared.contract.vocabulary import Service
from shared.database.audit.rows import NOBODY, Actor, ActorKind, Detail, NewRow, Stage


@dataclass(slots=True)
class Act:
    """One act of a person, key or command; `number` is that of its row `asked`.

    `action` is a method and the template of a path, or the name of a command. `respondent` is a respondent's id, in
    place of which a random id is written.
    """

    actor: Actor
    action: str
    subject: str | None = None
    respondent: str | None = None
    details: dict[str, Detail] = field(default_factory=dict)
    number: int | None = None
    unchanged: set[Service] = field(default_factory=set)  # where a command of several services changed nothing

    def row(self, stage: Stage, *, status: int | None = None) -> NewRow:
        return NewRow(
            stage,
            self.actor,
            self.action,
            self.subject,
            details=dict(self.details),
            status=status,
            of=self.number,
            respondent=self.respondent,
        )


current: ContextVar[Act | None] = ContextVar("current_act", default=None)


def present_actor() -> Actor:
    """Return who does what this task works for."""
    act = current.get()
    return NOBODY if act is None else act.actor


def note(subject: UUID | str | None = None, *, respondent: str | None = None, **details: Detail) -> None:
    """Say on what the present act is, and how. Only `respondent` may be personal data, as it is replaced."""
    act = current.get()
    if act is not None:
        act.subject = act.subject if subject is None else str(subject)
        act.respondent = respondent or act.respondent
        act.details.update(details)


def note_unchanged() -> None:
    """Say that the present act changed nothing, as what it asks for was so already; lists do not name its actor."""
    note(stored=False)


def note_unchanged_in(services: Iterable[Service]) -> None:
    """Say in which services the present command changed nothing."""
    act = current.get()
    if act is not None:
        act.unchanged.update(services)


def note_instead(**details: Detail) -> None:
    """Say what the present act is in place of what was said: it was about many, or nothing of it was stored."""
    act = current.get()
    if act is not None:
        act.subject, act.respondent, act.details = None, None, dict(details)


def acted_by(person: UUID) -> None:
    """Say who the present act turned out to be by, at the log-in."""
    act = current.get()
    if act is not None and act.actor == NOBODY:
        act.actor = Actor(ActorKind.PERSON, str(person))
