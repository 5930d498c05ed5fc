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


def _stored(asked: SurveyRequested, **changes: Any) -> StoredRequest:
    own = {**json.loads(split(asked).own), **changes}
    return StoredRequest(
        asked.invitation_id, asked.respondent_id, asked.expires_at, json.dumps(own), split(asked).digest
    )


def _read(asked: SurveyRequested, stored: StoredRequest) -> SurveyRequested:
    return RequestReader({split(asked).digest: split(asked).content}).read(stored)


@pytest.mark.parametrize("event", [BARE, WHOLE])
def test_request_is_read_as_it_was_stored(event: EventRef) -> None:
    asked = request(event=event)
    assert _read(asked, _stored(asked)) == asked
    assert json.loads(split(asked).own)["event"][:3] == [event.source, event.id, event.type]


@pytest.mark.parametrize("event", [BARE, WHOLE])
def test_event_with_names_is_read_as_versions_before_stored_it(event: EventRef) -> None:
    asked = request(event=event)
    assert _read(asked, _stored(asked, event=event.model_dump(mode="json", exclude_none=True))) == asked
