"""The pages of programs: what each asks and sends, in words, and the buttons that switch it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Form
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, RedirectResponse

from services.trigger.domain.deciding.explanations import OPERATORS, STATES
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.lint import lint
from services.trigger.domain.programs.program import CompiledProgram
from services.trigger.domain.programs.states import ALL_PROGRAMS, KnownState
from services.trigger.handlers.programs import UnknownProgram, state_of, switch
from services.trigger.repository import program_states, programs
from shared.clock import Clock
from shared.contract.step_words import waits_in_words
from shared.contract.vocabulary import ProgramState
from shared.database import staff
from shared.database.audit.rows import ActorKind
from shared.database.session import Sessions
from shared.languages import current as language
from shared.languages.current import gettext, match
from shared.languages.marking import mark
from shared.web.audit.acts import note, present_actor
from shared.web.audit.last_acts import all_names
from shared.web.problems import Forbidden, NotFound
from shared.web.staff.done_acts import REPLACES, hold_to, refuse_changed, tell
from shared.web.staff.menu import StaffPages
from shared.web.staff.tickets import signed_in
from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parents[1] / "templates", styles="decisions", lstrip_blocks=True)
_PAGE = "/programs"
_DONE = {
    ProgramState.ON: mark("You switched it on."),
    ProgramState.OFF: mark("You switched it off: it asks nobody new."),
    ProgramState.STOPPED: mark("You stopped it: nothing of it leaves, and calls that were due do not come back."),
    ProgramState.WITHDRAWN: mark("You withdrew its open surveys. That cannot be undone."),
}
_Id = Annotated[str, PathParameter(max_length=200)]


class ShownState(NamedTuple):
    """A state as the page says it: who set it is `you`, `person`, `key`, `command` …, with the name if it is known."""

    state: ProgramState
    since: KnownState | None = None
    by: str = ""
    name: str = ""

    @classmethod
    def of(cls, known: KnownState | None, names: Mapping[str, str]) -> ShownState:
        if known is None:
            return cls(ProgramState.ON)
        kind, _, id_ = known.changed_by.partition(":")
        person = signed_in.get()
        if kind == ActorKind.PERSON and person is not None and str(person.person) == id_:
            kind = "you"
        return cls(known.state, known, kind, id_ if kind == ActorKind.COMMAND else names.get(id_, ""))


@dataclass(frozen=True, slots=True)
class ProgramPages:
    """`/programs/*` is about all programs; `switch` is one of the states."""

    sessions: Sessions
    clock: Clock
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix=_PAGE, include_in_schema=False, default_response_class=HTMLResponse)
        router.add_api_route("", self.show_all, methods=["GET"])
        router.add_api_route("/{program_id}", self.show, methods=["GET"])
        router.add_api_route("/{program_id}/{state}", self.ask, methods=["GET"])
        router.add_api_route("/{program_id}/{state}", self.press, methods=["POST"])
        return router

    async def show_all(self) -> str:
        current, states = await self._read()
        hold_to(_PAGE, stored=states[ALL_PROGRAMS].state)
        return self._page(
            "programs.html",
            programs=list(current.values()),
            states=states,
            everything=states[ALL_PROGRAMS],
        )

    async def show(self, program_id: _Id) -> str:
        current, states = await self._read()
        program = _find(current, program_id)
        hold_to(_page_of(program_id), stored=states[program_id].state)
        async with self.sessions() as session:
            versions = await programs.versions(session, program_id)
        return self._page(
            "program.html",
            program=program,
            its=states[program_id],
            everything=states[ALL_PROGRAMS],
            versions=[(each.version, at) for each, at in versions],
            warnings=lint(program.document),
            waits=_waits(program.document),
            locale=_locale(program.document),
        )

    async def ask(self, program_id: _Id, state: ProgramState) -> str:
        """Ask whether a program is to be switched so, and say what that does."""
        if not self.staff_pages.may_write("/programs"):
            raise Forbidden(mark("Your roles do not allow this"), mark("A manager switches programs."))
        current, states = await self._read()
        program = None if program_id == ALL_PROGRAMS else _find(current, program_id)
        now = states[program_id]
        return self._page("program_switch.html", program=program, program_id=program_id, wanted=state, now=now)

    async def press(
        self, program_id: _Id, state: ProgramState, replaces: Annotated[ProgramState | None, Form()] = None
    ) -> RedirectResponse:
        """Switch a program; a form that undoes says in `replaces` what its state is to be until then."""
        try:
            async with self.sessions.begin() as session:
                before = await state_of(session, program_id)
                refuse_changed(expected=replaces, stored=before)
                await switch(session, program_id, state, now=self.clock.now(), actor=present_actor())
        except UnknownProgram:
            raise _unknown() from None
        note(program_id, state=state)
        path = _page_of(program_id)
        undo = "" if state is ProgramState.WITHDRAWN else f"{_PAGE}/{quote(program_id)}/{before}"
        if state is not before:
            tell(gettext(_DONE[state]), page=path, undo=undo, fields={REPLACES: state})
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)

    async def _read(self) -> tuple[Mapping[str, CompiledProgram], Mapping[str, ShownState]]:
        """Return the programs, and the state of each and of all by id."""
        async with self.sessions() as session:
            current, states = await programs.current(session), await program_states.find(session)
            names = await all_names(session, staff.names)
        return current, {id_: ShownState.of(states.get(id_), names) for id_ in (ALL_PROGRAMS, *current)}

    def _page(self, template: str, **values: object) -> str:
        values |= {"pages": self.staff_pages, "may_switch": self.staff_pages.may_write("/programs")}
        values |= {"State": ProgramState, "states_in_words": STATES, "operators": OPERATORS}
        return _environment.get_template(template).render(**values)


def _page_of(program_id: str) -> str:
    return _PAGE if program_id == ALL_PROGRAMS else f"{_PAGE}/{quote(program_id)}"


def _waits(document: ProgramDocument) -> list[str]:
    steps = ((step.channel, step.after) for step in document.plan)
    return list(waits_in_words(steps, start=document.delay_from, delay=document.delay))


def _locale(document: ProgramDocument) -> str:
    """Return the language of the program's texts that the reader knows, else its default one."""
    return match(language.current.get().tag, list(document.texts)) or document.default_locale


def _find(current: Mapping[str, CompiledProgram], program_id: str) -> CompiledProgram:
    if program_id not in current:
        raise _unknown()
    return current[program_id]


def _unknown() -> NotFound:
    return NotFound(mark("No such program"), mark("The page of programs lists them."))
