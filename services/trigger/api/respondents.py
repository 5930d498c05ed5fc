"""`/v1/decisions`, and the consent and the erasure of a respondent."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.trigger.handlers import erasing
from services.trigger.handlers.identities import search_ids
from services.trigger.handlers.intake import EventIntake
from services.trigger.repository import decisions, respondents
from services.trigger.schemas import Consents, ConsentView, Decisions, DecisionView, Erased
from shared.contract.address_keys import address_in
from shared.contract.vocabulary import NAMESPACE, split_respondent_id
from shared.web.audit.acts import note

_Search = Annotated[str | None, Query(max_length=200)]
_Customer = Annotated[str, Path(max_length=200)]
_Namespace = Annotated[str | None, Query(pattern=f"^{NAMESPACE.pattern}$")]


@dataclass(frozen=True, slots=True)
class RespondentApi:
    intake: EventIntake

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", tags=["respondents"])
        router.add_api_route("/decisions", self.get_decisions, methods=["GET"])
        router.add_api_route("/respondents/{customer_id:path}/consent", self.get_consent, methods=["GET"])
        path = "/respondents/{customer_id:path}/erase"
        router.add_api_route(path, self.erase_respondent, methods=["POST"], status_code=HTTPStatus.ACCEPTED)
        return router

    async def get_decisions(
        self,
        customer: _Search = None,
        namespace: _Namespace = None,
        event: _Search = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Decisions:
        """Return the decisions about a customer or an event, newest first, each with the reason and the facts used."""
        async with self.intake.sessions() as session:
            ids = (
                None
                if customer is None
                else await search_ids(session, customer, namespace, keys=self.intake.settings.address_keys)
            )
            found = await decisions.search(session, respondents=ids, event_id=event, limit=limit)
        return Decisions(decisions=[DecisionView.of(stored) for stored in found])

    async def get_consent(self, customer_id: _Customer, namespace: _Namespace = None) -> Consents:
        """Return who stated which consent when, where and by which words; for an address, of every guest with it."""
        async with self.intake.sessions() as session:
            ids = await search_ids(session, customer_id, namespace, keys=self.intake.settings.address_keys)
            found = await respondents.load(session, ids)
        return Consents(customers=[ConsentView.of(each) for each in found])

    async def erase_respondent(self, customer_id: str, namespace: _Namespace = None) -> Erased:
        """Erase a customer's data here and in the other services, as the event `crm.customer.erased` does.

        Without a namespace, an id that decisions show, such as `ns:my-shop:42`, also names its namespace.
        """
        people = [(customer_id, namespace)] if namespace else await self._people(customer_id)
        first, *_ = await erasing.erase(self.intake, people)
        note(first.event_id)
        return Erased.of(first)

    async def _people(self, customer_id: str) -> list[tuple[str, str | None]]:
        """Return whom an id without a namespace names: by an address, the guests of every namespace too."""
        named = [split_respondent_id(customer_id)]
        if (address := address_in(customer_id)) is None:
            return named
        async with self.intake.sessions() as session:
            found = await respondents.guests(session, self.intake.settings.address_keys.pseudonyms(address))
        return named + [split_respondent_id(each) for each in found]
