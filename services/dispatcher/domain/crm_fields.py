"""Which fields of a CRM's contacts, companies and deals get the score, the group and the date of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.contract.events import AnswerPayload

_FIELD = re.compile(r"UF_CRM_[A-Z0-9_]{1,90}")
_ID = re.compile(r"[1-9][0-9]{0,17}")
_VALUES = ("score", "group", "date")


class CrmEntity(StrEnum):
    CONTACT = "contact"
    COMPANY = "company"
    DEAL = "deal"


@dataclass(frozen=True, slots=True)
class AnswerOfEntity:
    """An answer, and the entity of the CRM that it is about."""

    entity: CrmEntity
    entity_id: str
    answer: AnswerPayload

    @property
    def order(self) -> tuple[datetime, int]:
        return self.answer.answered_at, self.answer.version


@dataclass(frozen=True, slots=True)
class CrmFields:
    """The configured fields; `source` is the source whose events name customers and orders by the CRM's ids."""

    source: str
    names: Mapping[str, str]  # such as contact.score: UF_CRM_NPS

    def of(self, entity: CrmEntity) -> dict[str, str]:
        """Return the names of an entity's fields by score, group and date."""
        return {value: self.names[key] for value in _VALUES if (key := f"{entity}.{value}") in self.names}

    def entities_of(self, answer: AnswerPayload) -> Iterator[AnswerOfEntity]:
        """Yield the entities whose fields get this answer; none for a suspect one, which may be a bot's."""
        if answer.suspect or answer.event is None or answer.event.source != self.source:
            return
        company = answer.customer_id.removeprefix("company-")
        customer = CrmEntity.CONTACT if company == answer.customer_id else CrmEntity.COMPANY
        for entity, id_ in ((customer, company), (CrmEntity.DEAL, answer.event.subject or "")):
            if _ID.fullmatch(id_) and self.of(entity):
                yield AnswerOfEntity(entity, id_, answer)


def read_field_names(text: str) -> dict[str, str]:
    """Read `contact.score:UF_CRM_NPS,deal.date:UF_CRM_NPS_DATE`; raises ValueError."""
    keys = [f"{entity}.{value}" for entity in CrmEntity for value in _VALUES]
    found: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, _, name = (part.strip() for part in pair.partition(":"))
        if key not in keys:
            raise ValueError(f"{key}: expected one of {', '.join(keys)}, then a colon and the field")
        if not _FIELD.fullmatch(name):
            raise ValueError(f"{key}: expected a field of your own such as UF_CRM_NPS, found {name or 'none'}")
        if key in found or any(
            other.partition(".")[0] == key.partition(".")[0] and name == taken for other, taken in found.items()
        ):
            raise ValueError(f"{key}:{name} is there twice: each value has one field, and each field one value")
        found[key] = name
    return found
