"""Who an event is about: a respondent's id is found among the stored ones, because older ids were made otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import TriggerPayload
from shared.contract.events import CrmPayload
from shared.contract.vocabulary import folded_respondent_id


class Identity(msgspec.Struct, frozen=True):
    """The ids that a customer may be known under.

    `id` is the exact one. `older` is the one of before the case of ids counted and namespaces existed.
    """

    id: str
    older: str
    namespace: str | None = None

    def find(self, known: Mapping[str, Respondent], sources: Mapping[str, AbstractSet[str]]) -> str:
        """Return the id of the known respondent, or the exact one if there is none.

        `sources` has the sources of the events about older respondents: in a namespace, a customer is an older
        respondent whose events all came from the source of that name.
        """
        if not self.may_be_older(known):
            return self.id
        return self.older if self.namespace is None or sources.get(self.older) == {self.namespace} else self.id

    def may_be_older(self, known: Mapping[str, Respondent]) -> bool:
        older = known.get(self.older)
        return self.id not in known and older is not None and older.has_older_id


def identity_of(payload: TriggerPayload) -> Identity:
    if not isinstance(payload, CrmPayload):
        return Identity(payload.key, payload.key)
    customer = payload.customer
    return Identity(payload.key, folded_respondent_id(customer.id), customer.namespace or None)
