"""`/v1/programs`: read, apply and switch programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.handlers.programs import UnknownProgram, apply_program, switch
from services.trigger.repository import programs
from services.trigger.schemas import AppliedProgram, ProgramHistory, Programs, ProgramVersion, ProgramView, WantedState
from shared.clock import Clock
from shared.database.session import Sessions
from shared.web import problems
from shared.web.audit.acts import note, present_actor

NO_PROGRAM = "No such program", "GET /v1/programs lists them."
_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/yaml": {"schema": {"type": "object"}}, "application/json": {"schema": {"type": "object"}}},
}


@dataclass(frozen=True, slots=True)
class ProgramApi:
    sessions: Sessions
    clock: Clock

    def router(self) -> APIRouter:
        router, body = APIRouter(prefix="/v1/programs", tags=["programs"]), {"requestBody": _BODY}
        router.add_api_route("", self.list_programs, methods=["GET"])
        router.add_api_route("/{program_id}", self.show_program, methods=["GET"])
        router.add_api_route("/{program_id}/state", self.put_state, methods=["POST"])
        router.add_api_route("", self.put_program, methods=["PUT"], openapi_extra=body)
        router.add_api_route("", self.put_program, methods=["POST"], openapi_extra=body, include_in_schema=False)
        return router

    async def list_programs(self) -> Programs:
        """List the current version of every program."""
        async with self.sessions() as session:
            current = await programs.current(session)
        return Programs(programs=[ProgramView.of(program) for program in current.values()])

    async def show_program(self, program_id: str) -> ProgramHistory:
        """Return one program with all its versions."""
        async with self.sessions() as session:
            current = (await programs.current(session)).get(program_id)
            versions = await programs.versions(session, program_id)
        if current is None:
            raise problems.NotFound(*NO_PROGRAM)
        history = [
            ProgramVersion(**ProgramView.of(program).model_dump(exclude={"state"}), applied_at=at)
            for program, at in versions
        ]
        return ProgramHistory(**ProgramView.of(current).model_dump(), versions=history)

    async def put_program(self, request: Request) -> AppliedProgram:
        """Apply a document, YAML or JSON; an unchanged document makes no new version."""
        document = _read(await request.body())
        async with self.sessions.begin() as session:
            program, changed = await apply_program(session, document, now=self.clock.now())
        note(program.id, version=program.version, changed=changed)
        return AppliedProgram(**ProgramView.of(program).model_dump(), changed=changed)

    async def put_state(self, program_id: str, wanted: WantedState) -> Programs:
        """Switch a program, or all (`*`), on or off, stop it, or withdraw its surveys; return what that changed."""
        try:
            async with self.sessions.begin() as session:
                now = self.clock.now()
                switched = await switch(session, program_id, wanted.state, now=now, actor=present_actor())
        except UnknownProgram:
            raise problems.NotFound(*NO_PROGRAM) from None
        note(program_id, state=wanted.state)
        return Programs(programs=[ProgramView.of(program) for program in switched])


def _read(body: bytes) -> ProgramDocument:
    try:
        return read_program(body)
    except InvalidProgram as error:
        places = [{"where": where, "what": what, "line": line} for where, what, line in error.mistakes]
        raise problems.Unprocessable("The program is not valid", errors=places) from None
