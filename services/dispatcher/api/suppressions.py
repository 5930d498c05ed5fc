"""The JSON API of suppressions: list them, release one."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.dispatcher import schemas
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.repository import suppressions
from shared.clock import Clock
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import SuppressionReason
from shared.database.session import Sessions
from shared.web import problems


@dataclass(frozen=True, slots=True)
class SuppressionApi:
    sessions: Sessions
    clock: Clock
    address_keys: AddressKeys

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/suppressions")
        router.add_api_route("", self.newest, methods=["GET"])
        router.add_api_route("/{suppression_id}", self.release, methods=["DELETE"], status_code=HTTPStatus.NO_CONTENT)
        return router

    async def newest(
        self,
        respondent: Annotated[
            str | None, Query(max_length=200, description="A customer id, an e-mail address or a phone number.")
        ] = None,
        reason: SuppressionReason | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> schemas.SuppressionList:
        """List suppressions, newest first."""
        known = self.address_keys.respondents_like(respondent) if respondent else None
        fingerprints = self.address_keys.matching_like(respondent) if respondent else ()
        async with self.sessions.begin() as session:
            found = await suppressions.newest(
                session, respondents=known, reason=reason, limit=limit, fingerprints=fingerprints
            )
        return schemas.SuppressionList(suppressions=[schemas.suppressed(each) for each in found])

    async def release(self, suppression_id: UUID) -> None:
        """Release one suppression: this respondent may be asked again. Publishes `respondent.released`."""
        async with self.sessions.begin() as session:
            if not await apply_receipts.release(session, suppression_id, now=self.clock.now()):
                raise problems.NotFound("No such suppression")
