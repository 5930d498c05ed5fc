"""`/v1/programs`: read and apply programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.handlers.programs import apply_program
from services.trigger.repository import programs
from services.trigger.schemas import AppliedProgram, ProgramHistory, Programs, ProgramVersion, ProgramView
from shared.clock import Clock
from shared.database.db import Sessions
from shared.web import problems
from shared.web.audit.acts import note

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
            versions = await programs.versions(session, program_id)
        if not versions:
            raise problems.NotFound("No such program", "GET /v1/programs lists them.")
        history = [ProgramVersion(**ProgramView.of(program).model_dump(), applied_at=at) for program, at in versions]
        return ProgramHistory(**ProgramView.of(versions[0][0]).model_dump(), versions=history)

    async def put_program(self, request: Request) -> AppliedProgram:
        """Apply a document, YAML or JSON; an unchanged document makes no new version."""
        document = _read(await request.body())
        async with self.sessions.begin() as session:
            program, changed = await apply_program(session, document, now=self.clock.now())
        note(program.id, version=program.version, changed=changed)
        return AppliedProgram(**ProgramView.of(program).model_dump(), changed=changed)


def _read(body: bytes) -> ProgramDocument:
    try:
        return read_program(body)
    except InvalidProgram as error:
        places = [{"where": where, "what": what, "line": line} for where, what, line in error.mistakes]
        raise problems.Unprocessable("The program is not valid", errors=places) from None
