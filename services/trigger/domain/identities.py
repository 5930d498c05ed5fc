"""Who an event is about: a respondent's id is found among the stored ones, because older ids were made otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec
from msgspec.structs import replace

from services.trigger.domain.respondents import Respondent
from shared.contract.address_keys import ADDRESS, AddressKeys, address_in
from shared.contract.cloudevents import Event
from shared.contract.events import CrmPayload
from shared.contract.vocabulary import folded_respondent_id, respondent_id


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The ids that a customer may be known under.

    `id` is the exact one, `earlier` those made with earlier keys where it is a pseudonym. `older` is the one of before
    the case of ids counted and namespaces existed.
    """

    id: str
    older: str
    namespace: str | None = None
    earlier: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return (self.id, *self.earlier, self.older)

    def find(self, known: Mapping[str, Respondent], sources: Mapping[str, AbstractSet[str]]) -> str:
        """Return the id of the known respondent, or the exact one if there is none.

        `sources` has the sources of the events about older respondents: in a namespace, a customer is an older
        respondent whose events all came from the source of that name.
        """
        exact = next((id_ for id_ in (self.id, *self.earlier) if id_ in known), None)
        if exact is not None or not self.may_be_older(known):
            return exact or self.id
        return self.older if self.namespace is None or sources.get(self.older) == {self.namespace} else self.id

    def may_be_older(self, known: Mapping[str, Respondent]) -> bool:
        older = known.get(self.older)
        return self.id not in known and older is not None and older.has_older_id


def identity_of(payload: CrmPayload, keys: AddressKeys) -> Identity:
    customer = payload.customer
    namespace, older = customer.namespace or None, folded_respondent_id(customer.id)
    address = address_in(customer.id)
    if address is None:
        return Identity(payload.key, older, namespace)
    exact, *earlier = (respondent_id(pseudonym, namespace) for pseudonym in keys.pseudonyms(address))
    return Identity(exact, older, namespace, tuple(earlier))


def without_address(customer_id: str, keys: AddressKeys) -> str:
    """Return the id, or a pseudonym for one that holds an e-mail address, which may not become a key."""
    address = address_in(customer_id)
    return customer_id if address is None else keys.pseudonym(address)


def with_addresses_hidden(text: str, keys: AddressKeys) -> str:
    """Return a text with a pseudonym in the place of each e-mail address."""
    return ADDRESS.sub(lambda found: keys.pseudonym(found.group()), text)


def with_pseudonym(event: Event[CrmPayload], keys: AddressKeys) -> Event[CrmPayload]:
    """Return the event with a pseudonym for a customer whose id holds an e-mail address."""
    customer = event.payload.customer
    if "@" not in customer.id:
        return event
    named = customer.model_copy(update={"id": without_address(customer.id, keys)})
    return replace(event, payload=event.payload.model_copy(update={"customer": named}))
