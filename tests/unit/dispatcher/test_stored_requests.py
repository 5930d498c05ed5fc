"""Requests are stored in two parts, with the event as an array, and read back as they were."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.dispatcher.domain.stored_requests import RequestReader, StoredRequest, split
from shared.contract.events import EventRef, SurveyRequested
from tests.integration.dispatcher.conftest import NOW, request

BARE = EventRef(source="shop", id="e1", type="crm.customer.updated", time=NOW)
WHOLE = EventRef(
    source="till",
    id='"e" 2',
    type="crm.purchase.completed",
    time=NOW + timedelta(microseconds=7),
    subject="48213",
    number="A-7",
    amount=Decimal("12.50"),
    currency="EUR",
)


OTHER = {"customer_id": "C1", "expires_at": NOW + timedelta(days=3, microseconds=1)}


def _stored(asked: SurveyRequested, *, compact: bool, **changes: Any) -> tuple[RequestReader, StoredRequest]:
    parts = split(asked, compact=compact)
    own = json.dumps({**json.loads(parts.own), **changes})
    stored = StoredRequest(asked.invitation_id, asked.respondent_id, asked.expires_at, own, parts.digest)
    return RequestReader({parts.digest: parts.content}), stored


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("more", [{}, OTHER])
@pytest.mark.parametrize("event", [BARE, WHOLE])
def test_request_is_read_as_it_was_stored(event: EventRef, more: dict[str, Any], *, compact: bool) -> None:
    asked = request(event=event, **more)
    reader, stored = _stored(asked, compact=compact)
    assert reader.read(stored) == asked
    assert reader.read(stored).model_dump(mode="json") == asked.model_dump(mode="json")


@pytest.mark.parametrize("event", [BARE, WHOLE])
def test_event_with_names_is_read_as_versions_before_stored_it(event: EventRef) -> None:
    asked = request(event=event)
    reader, stored = _stored(asked, compact=False, event=event.model_dump(mode="json", exclude_none=True))
    assert reader.read(stored) == asked


def test_version_before_gets_all_fields_of_the_event_in_an_array() -> None:
    own = json.loads(split(request(event=WHOLE), compact=False).own)
    assert own["event"][:3] == [WHOLE.source, WHOLE.id, WHOLE.type]
    assert {"customer_id", "send_at"} <= own.keys()


def test_compact_request_has_only_what_is_its_own() -> None:
    asked = request(event=WHOLE)
    asked = asked.model_copy(update={"customer_id": asked.respondent_id})
    own = json.loads(split(asked).own)
    assert own["event"][0] == WHOLE.id
    assert len(own["event"]) == 5
    assert not own.keys() & {"customer_id", "send_at"}
