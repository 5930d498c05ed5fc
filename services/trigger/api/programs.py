"""Programs: read them, apply them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from services.trigger.handlers.intake import EventIntake
from services.trigger.handlers.programs import apply_program
from services.trigger.repository import programs
from services.trigger.schemas import AppliedProgram, ProgramHistory, Programs, ProgramVersion, ProgramView
from shared.web import problems

_BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/yaml": {"schema": {"type": "object"}}, "application/json": {"schema": {"type": "object"}}},
}


def programs_router(intake: EventIntake) -> APIRouter:
    router = APIRouter(prefix="/v1/programs", tags=["programs"])

    @router.get("")
    async def list_programs() -> Programs:
        """List the current version of every program."""
        async with intake.sessions() as session:
            current = await programs.current(session)
        return Programs(programs=[ProgramView.of(program) for program in current.values()])

    @router.get("/{program_id}")
    async def show_program(program_id: str) -> ProgramHistory:
        """Show one program with all its versions."""
        async with intake.sessions() as session:
            versions = await programs.versions(session, program_id)
        if not versions:
            raise problems.NotFound("No such program", "GET /v1/programs lists them.")
        history = [ProgramVersion(**ProgramView.of(program).model_dump(), applied_at=at) for program, at in versions]
        return ProgramHistory(**ProgramView.of(versions[0][0]).model_dump(), versions=history)

    @router.put("", openapi_extra={"requestBody": _BODY})
    @router.post("", openapi_extra={"requestBody": _BODY}, include_in_schema=False)
    async def put_program(request: Request) -> AppliedProgram:
        """Apply a document, YAML or JSON; the same one again makes no new version."""
        document = _read(await request.body())
        async with intake.sessions.begin() as session:
            program, changed = await apply_program(session, document, now=intake.clock.now())
        return AppliedProgram(**ProgramView.of(program).model_dump(), changed=changed)

    return router


def _read(body: bytes) -> ProgramDocument:
    try:
        return read_program(body)
    except InvalidProgram as error:
        places = [{"where": where, "what": what, "line": line} for where, what, line in error.mistakes]
        raise problems.Unprocessable("The program is not as it should be", errors=places) from None
