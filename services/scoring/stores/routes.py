"""The JSON API of the list of stores."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from services.scoring.domain.stores.store import InvalidStore, Store, TakenName
from services.scoring.repository.stores import listed
from services.scoring.stores import saving
from services.scoring.stores.saving import Expected, StaleStore, StoreInUse
from services.scoring.stores.schemas import ImportOut, StoreIn, StoreOut, StoresOut
from shared.database.session import Sessions
from shared.tables.opening import InvalidFile
from shared.web import strict_input
from shared.web.problems import INVALID_REQUEST, Conflict, NotFound, PreconditionFailed, Unprocessable
from shared.web.staff.tickets import staff_scope
from shared.web.strict_input import SingleValued

_CSV = {"requestBody": {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}, "required": True}}
_IfMatch = Annotated[str | None, Header(description="Only if this is the ETag of the store; * for any.")]
_IfNoneMatch = Annotated[str | None, Header(description="* only if there is no such store.")]


@dataclass(frozen=True, slots=True)
class StoresApi:
    """Without If-Match or If-None-Match the last write counts."""

    sessions: Sessions

    def router(self) -> APIRouter:
        strict = APIRouter(prefix="/v1/stores", dependencies=[Depends(strict_input.refuse_parameters)])
        strict.add_api_route("", self.list, methods=["GET"])
        strict.add_api_route("/{code}", self.get, methods=["GET"])
        strict.add_api_route("/{code}", self.put, methods=["PUT"])
        strict.add_api_route("/{code}", self.erase, methods=["DELETE"], status_code=HTTPStatus.NO_CONTENT)
        importing = APIRouter(
            prefix="/v1/stores", dependencies=[Depends(SingleValued()), Depends(strict_input.refuse_unknown)]
        )
        importing.add_api_route("/import", self.import_csv, methods=["POST"], openapi_extra=_CSV)
        router = APIRouter(tags=["stores"])
        router.include_router(strict)
        router.include_router(importing)
        return router

    async def list(self) -> StoresOut:
        """Read all stores, and the names of stores in events that the list lacks."""
        async with self.sessions.begin() as session:
            known, unlisted = await listed.read(session), await listed.unlisted(session)
        names = unlisted if staff_scope.get().is_whole else []  # of stores that the person may not see
        return StoresOut(stores=[StoreOut.of(store) for store in known.values()], unlisted=names)

    async def get(self, code: str, response: Response) -> StoreOut:
        """Read one store; the `ETag` header has its version."""
        async with self.sessions.begin() as session:
            store = (await listed.read(session)).get(code)
        if store is None:
            raise NotFound("No such store")
        return _with_etag(store, response)

    async def put(
        self,
        code: str,
        body: StoreIn,
        response: Response,
        if_match: _IfMatch = None,
        if_none_match: _IfNoneMatch = None,
    ) -> StoreOut:
        """Add a store or replace all its fields."""
        try:
            store = body.store(code)
            async with self.sessions.begin() as session:
                await saving.save(session, store, expected=_expected(if_match, if_none_match))
        except TakenName as error:
            raise Conflict("Another store has one of these names", str(error)) from None
        except InvalidStore as error:
            errors = [{"where": f"body.{error.field}", "what": error.why}]
            raise Unprocessable(INVALID_REQUEST, errors=errors) from None
        except StaleStore:
            raise _stale() from None
        return _with_etag(store, response)

    async def erase(self, code: str, if_match: _IfMatch = None) -> Response:
        """Delete a store; its answers stay, under the names that events have."""
        try:
            async with self.sessions.begin() as session:
                found = await saving.remove(session, code, expected=_expected(if_match, None))
        except StaleStore:
            raise _stale() from None
        except StoreInUse as error:
            raise Conflict("The store is in use", str(error)) from None
        if not found:
            raise NotFound("No such store")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def import_csv(
        self,
        request: Request,
        *,
        dry_run: Annotated[bool, Query()] = False,
        good_only: Annotated[bool, Query()] = False,
    ) -> ImportOut:
        """Add and change the stores of a CSV file; nothing is stored when a line is bad, unless `good_only` is set.

        Stores and columns that the file lacks stay as they are.
        """
        try:
            result = await saving.import_file(self.sessions, await request.body(), dry_run=dry_run, good_only=good_only)
        except InvalidFile as error:
            raise Unprocessable("The file cannot be read", str(error)) from None
        if not (result.stored or dry_run):
            errors = [{"where": f"line {each.line}", "what": each.reason} for each in result.plan.bad[:20]]
            raise Unprocessable("Nothing was stored: lines are bad", bad=len(result.plan.bad), errors=errors)
        return ImportOut.of(result)


def _with_etag(store: Store, response: Response) -> StoreOut:
    response.headers["etag"] = f'"{store.version}"'
    return StoreOut.of(store)


def _expected(if_match: str | None, if_none_match: str | None) -> Expected:
    """Return the condition of the headers (RFC 9110, section 13.1)."""
    matched = _tags(if_match)
    refused = _tags(if_none_match)

    def holds(current: Store | None) -> bool:
        own = set() if current is None else {"*", f'"{current.version}"'}
        return (matched is None or bool(matched & own)) and (refused is None or not refused & own)

    return holds


def _tags(header: str | None) -> set[str] | None:
    return None if header is None else {each.strip() for each in header.split(",")}


def _stale() -> PreconditionFailed:
    return PreconditionFailed("The store is another one by now", "Read it again, and send its ETag.")
