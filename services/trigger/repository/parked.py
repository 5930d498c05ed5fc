"""Deletes the parked events of erased respondents."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from services.trigger.domain.sources.source import SOURCE_HEADER
from shared.contract.address_keys import AddressKeys, address_in
from shared.contract.topics import CRM_EVENTS
from shared.contract.vocabulary import folded_respondent_id, respondent_id
from shared.database import db
from shared.database.session import Session
from shared.messaging import parking

_FIND = "SELECT id, headers, body FROM parked WHERE topic = $1"


async def delete(session: Session, respondents: Collection[str], *, keys: AddressKeys) -> None:
    """Delete the parked events of these respondents; one that is not JSON cannot be matched and expires in 30 days."""
    if not respondents:
        return
    rows = await db.fetch(session, _FIND, CRM_EVENTS.name)
    erased = frozenset(respondents)
    about = [
        row["id"] for row in rows if erased & respondents_of(row["body"], parking.headers_of(row["headers"]), keys)
    ]
    await parking.delete(session, about)


def respondents_of(body: bytes, headers: Mapping[str, str], keys: AddressKeys) -> set[str]:
    """Return the ids that the respondent of a body may have; the body may be invalid, or in binary mode the data."""
    try:
        document: Any = msgspec.json.decode(body)
        customer = document.get("data", document)["customer"]
        customer_id, namespace = str(customer["id"]), customer.get("namespace")
        namespaces = {namespace or headers.get(SOURCE_HEADER), namespace}
        address = address_in(customer_id)
        ids = (customer_id,) if address is None else keys.pseudonyms(address)
        exact = {respondent_id(id_, each and str(each)) for id_ in ids for each in namespaces}
        return {*exact, folded_respondent_id(customer_id)}
    except (msgspec.MsgspecError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return set()
