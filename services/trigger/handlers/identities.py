"""Finds the respondents that events and searches are about; ids of before namespaces were made otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from services.trigger.domain.identities import Identity
from services.trigger.domain.respondents import Respondent
from services.trigger.repository import decisions, respondents
from shared.contract.address_keys import AddressKeys, address_in
from shared.contract.vocabulary import SHARED_NAMESPACE, folded_respondent_id, respondent_id, respondent_ids_like
from shared.database.session import Session


async def lock_respondents(session: Session, identities: Sequence[Identity]) -> tuple[list[str], dict[str, Respondent]]:
    """Return the respondent's id of each identity, and by id the respondents that have rows, locked."""
    locked = await respondents.lock(session, {id_ for each in identities for id_ in each.every})
    doubtful = {each.older for each in identities if each.namespace is not None and each.may_be_older(locked)}
    sources = await decisions.sources_of(session, doubtful)
    return [each.find(locked, sources) for each in identities], locked


async def search_ids(session: Session, customer: str, namespace: str | None, *, keys: AddressKeys) -> list[str]:
    """Return the ids that a customer's respondent may have.

    Without a namespace, also an id as decisions show it, and for an address every guest with it.
    """
    address = address_in(customer)
    if address is not None and namespace is None:
        return [*respondent_ids_like(customer), *await respondents.guests(session, keys.pseudonyms(address))]
    if address is not None:
        return [respondent_id(pseudonym, namespace) for pseudonym in keys.pseudonyms(address)]
    if namespace is None or namespace == SHARED_NAMESPACE:
        return respondent_ids_like(customer)
    older = folded_respondent_id(customer)
    sources = await decisions.sources_of(session, [older])
    return [respondent_id(customer, namespace), *([older] if sources.get(older) == {namespace} else [])]
