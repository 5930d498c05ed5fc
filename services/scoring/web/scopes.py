"""What the person who sent a request may read of scores and answers, and the calls that the person takes."""

from __future__ import annotations

from dataclasses import replace

from services.scoring.domain.slices import ALL, Slice
from services.scoring.repository.people import accounts
from shared.contract.vocabulary import Role
from shared.database.session import Session
from shared.languages.marking import mark
from shared.web.problems import Forbidden, Unprocessable
from shared.web.staff.tickets import signed_in, staff_scope


def refuse_hidden(program: str | None) -> None:
    """Raise Forbidden if who sent the request does not see this program; None is no program."""
    if program is not None and not staff_scope.get().covers_program(program):
        raise Forbidden(mark("You do not see this program"))


def visible_program(program: str | None) -> str | None:
    """Return the program that figures are asked of, None for all.

    Who sees only some programs has to name one, unless there is only one. Raises Forbidden and Unprocessable.
    """
    refuse_hidden(program)
    scope = staff_scope.get()
    if program is not None or scope.programs is None:
        return program
    if len(scope.programs) > 1:
        raise Unprocessable(mark("Name a program"), f"You see {', '.join(sorted(scope.programs))}.")
    return next(iter(scope.programs))


def sees_employees(*, counted: bool) -> bool:
    """Whether the person sees scores per employee, if these are counted: managers, of the stores that they see."""
    ticket = signed_in.get()
    return counted and ticket is not None and Role.MANAGER in ticket.roles


async def spoken_languages(session: Session) -> list[str] | None:
    """Return the languages in which the person takes calls, None for all."""
    ticket = signed_in.get()
    return (await accounts.spoken(session, ticket.person) or None) if ticket else None


def visible(asked: Slice) -> Slice:
    """Return the part of a slice that the person sees; raises Forbidden and Unprocessable."""
    segment = None if asked.segment == ALL else asked.segment
    return replace(asked, program=visible_program(asked.program), segment=segment, within=staff_scope.get().stores)
